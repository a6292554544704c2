package kms_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state/kms"
)

// toy is a service that adds a byte; asked counts its requests.
type toy struct {
	key   byte
	asked int
	down  bool
}

func (k *toy) Encrypt(_ context.Context, plain []byte) ([]byte, error) {
	k.asked++
	if k.down {
		return nil, errors.New("access denied")
	}
	out := bytes.Clone(plain)
	for i := range out {
		out[i] += k.key
	}
	return append(out, k.key), nil
}

func (k *toy) Decrypt(_ context.Context, sealed []byte) ([]byte, error) {
	k.asked++
	if k.down || sealed[len(sealed)-1] != k.key {
		return nil, errors.New("access denied")
	}
	out := bytes.Clone(sealed[:len(sealed)-1])
	for i := range out {
		out[i] -= k.key
	}
	return out, nil
}

func TestSealAndOpen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		service := &toy{key: 3}
		s := kms.New(service)
		sealed, err := s.Seal(context.Background(), plain)
		if err != nil {
			t.Fatal(err)
		}
		if len(plain) > 8 && bytes.Contains(sealed, plain) {
			t.Fatal("the value is in what was sealed")
		}
		again, err := s.Seal(context.Background(), plain)
		if err != nil || bytes.Equal(sealed, again) {
			t.Fatal("the same value was sealed to the same bytes")
		}
		other := kms.New(&toy{key: 3}) // another process
		for _, opener := range []interface {
			Open(context.Context, []byte) ([]byte, error)
		}{s, other} {
			got, err := opener.Open(context.Background(), sealed)
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("opened %q, %v", got, err)
			}
		}
		if service.asked != 1 {
			t.Fatalf("the service was asked %d times", service.asked)
		}
		at := rapid.IntRange(0, len(sealed)-1).Draw(t, "at")
		sealed[at] ^= 1
		if _, err := kms.New(&toy{key: 3}).Open(context.Background(), sealed); err == nil {
			t.Fatalf("opened what was changed at byte %d", at)
		}
	})
}

// A service that refuses, or another key, is an error with the next step, and
// never a plain text.
func TestMissingKey(t *testing.T) {
	sealed, err := kms.New(&toy{key: 3}).Seal(t.Context(), []byte("hush"))
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() ([]byte, error){
		"seal, down": func() ([]byte, error) { return kms.New(&toy{down: true}).Seal(t.Context(), []byte("hush")) },
		"open, down": func() ([]byte, error) { return kms.New(&toy{key: 3, down: true}).Open(t.Context(), sealed) },
		"other key":  func() ([]byte, error) { return kms.New(&toy{key: 4}).Open(t.Context(), sealed) },
		"not ours":   func() ([]byte, error) { return kms.New(&toy{}).Open(t.Context(), []byte("age-encryption.org/v1")) },
		"cut off":    func() ([]byte, error) { return kms.New(&toy{}).Open(t.Context(), sealed[:13]) },
	} {
		out, err := try()
		var f *fault.Error
		if !errors.As(err, &f) || f.Hint == "" || len(out) > 0 {
			t.Errorf("%s: %q, %v; want a fault with a hint", name, out, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	sealed, err := kms.New(&toy{key: 3}).Seal(context.Background(), []byte("hush"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte("wfctl-kms/1\n\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := kms.New(&toy{key: 3, down: true}).Open(t.Context(), data)
		if err == nil {
			t.Errorf("opened %q without the service", out)
		}
	})
}

func TestParseURL(t *testing.T) {
	key, query, err := kms.ParseURL("awskms:///arn:aws:kms:x?region=y&context_a=b", "awskms", "region", "context_")
	if err != nil || key != "arn:aws:kms:x" || query.Get("region") != "y" || query.Get("context_a") != "b" {
		t.Error(key, query, err)
	}
	for text, want := range map[string]string{"awskms://": "not the URL", "other://x": "not the URL", "awskms://k?color=red": "unknown option"} {
		if _, _, err := kms.ParseURL(text, "awskms", "region"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
