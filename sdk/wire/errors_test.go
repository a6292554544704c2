package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/internal/pb"
)

func sendError(t interface{ Fatal(...any) }, err error) *sdk.Error {
	d := detailOf(toStatus(err))
	if d == nil {
		t.Fatal("the status has no detail")
	}
	raw, failed := proto.Marshal(d)
	if failed != nil {
		t.Fatal(failed)
	}
	back := &pb.Error{}
	if err := proto.Unmarshal(raw, back); err != nil {
		t.Fatal(err)
	}
	return toError(back)
}

func TestErrorsArriveWhole(t *testing.T) {
	if n := reflect.TypeFor[sdk.Error]().NumField(); n != 7 {
		t.Fatalf("sdk.Error has %d fields; the converter knows 7", n)
	}
	rapid.Check(t, func(t *rapid.T) {
		f := &filler{t: t}
		var want, at *sdk.Error
		for range rapid.IntRange(1, 4).Draw(t, "depth") {
			e := &sdk.Error{
				Code: rapid.SampledFrom(codeNames()[1:]).Draw(t, "code"), Message: f.text(), Hint: f.text(),
				RetryAfter: time.Duration(rapid.Int64().Draw(t, "after")), Path: sdk.Path(f.text()),
				Blockers: rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "blockers"),
			}
			if len(e.Blockers) == 0 {
				e.Blockers = nil
			}
			if want == nil {
				want, at = e, e
				continue
			}
			at.Err, at = e, e
		}
		if got := sendError(t, want); !reflect.DeepEqual(want, got) {
			t.Fatalf("sent %#v, got %#v", want, got)
		}
	})
}

func TestErrorsOfOthers(t *testing.T) {
	notFound := sdk.Errorf(sdk.CodeNotFound, "no such bucket").WithHint("make one")
	for _, c := range []struct {
		name string
		err  error
		code sdk.Code
		text string
		hint string
	}{
		{"plain", io.ErrUnexpectedEOF, sdk.CodeInternal, "unexpected EOF", ""},
		{"cancelled", fmt.Errorf("call: %w", context.Canceled), sdk.CodeCancelled, "call: context canceled", ""},
		{"deadline", context.DeadlineExceeded, sdk.CodeDeadline, "context deadline exceeded", ""},
		{"inside another", fmt.Errorf("read: %w", notFound), sdk.CodeNotFound, "read: no such bucket", "make one"},
		{"around another", sdk.Wrap(sdk.CodeUnavailable, io.EOF, "ask"), sdk.CodeUnavailable, "ask: EOF", ""},
		{"of a code of its own", &sdk.Error{Code: "teapot", Message: "short"}, sdk.CodeInternal, "short", ""},
		{"joined", errors.Join(io.EOF, notFound), sdk.CodeNotFound, "EOF\nno such bucket", "make one"},
		{"nil of a type", (*sdk.Error)(nil), sdk.CodeInternal, "a nil *sdk.Error was returned as an error", ""},
		{"not UTF-8", errors.New("a\xffb"), sdk.CodeInternal, "a\uFFFDb", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := sendError(t, c.err)
			if got.Code != c.code || got.Error() != c.text || got.Hint != c.hint {
				t.Errorf("got %s %q %q", got.Code, got.Error(), got.Hint)
			}
		})
	}
	if got := sendError(t, sdk.Wrap(sdk.CodeUnavailable, context.Canceled, "ask")); !errors.Is(got, context.Canceled) {
		t.Error("a cancelled cause is not recognised")
	}
}

func TestLongErrorsAreCut(t *testing.T) {
	got := sendError(t, errors.New(strings.Repeat("x", 3<<20)))
	if n := len(got.Message); n < maxMessage || n > maxMessage+64 {
		t.Errorf("the message has %d bytes", n)
	}
	deep := error(sdk.Errorf(sdk.CodeInternal, "end"))
	for range 100 {
		deep = &sdk.Error{Code: sdk.CodeInternal, Message: "x", Err: deep}
	}
	if got := sendError(t, deep).Error(); got != deep.Error() {
		t.Errorf("a deep error reads %q", got)
	}
}
