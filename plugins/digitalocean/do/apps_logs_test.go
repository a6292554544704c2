package do

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

func (m *made) logs(req sdk.LogsRequest) []string {
	m.c.t.Helper()
	var lines []string
	req.Type, req.ID = m.typ, m.id
	err := m.c.p.(sdk.LogReader).Logs(m.c.t.Context(), &req, func(l sdk.LogLine) error {
		if l.Time.IsZero() {
			m.c.t.Errorf("a line without a time: %+v", l)
		}
		lines = append(lines, l.Source+": "+l.Text)
		return nil
	})
	if err != nil {
		m.c.t.Fatal(err)
	}
	return lines
}

func TestAppLogs(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	m := c.make(infra.TypeContainerService, "shop", `{"image":"acme/shop","workers":[{"name":"mailer"}]}`)
	before := c.fake.Clock().Now()
	c.fake.Advance(time.Minute)
	for i := range 5 {
		c.fake.Advance(time.Second)
		c.fake.Say("shop", "web", fmt.Sprintf("request %d", i))
	}
	c.fake.Say("shop", "mailer", "sent "+strings.Repeat("x", 300<<10))
	got := m.logs(sdk.LogsRequest{})
	if len(got) != 8 || got[0] != "web: listening" || got[6] != "web: request 4" || len(got[7]) > longestLine+16 {
		t.Errorf("the log is %.300q", got)
	}
	if got := m.logs(sdk.LogsRequest{Tail: 2}); len(got) != 2 || got[0] != "web: request 4" {
		t.Errorf("its end is %.300q", got)
	}
	if got := m.logs(sdk.LogsRequest{Since: before.Add(30 * time.Second)}); len(got) != 6 || got[0] != "web: request 0" {
		t.Errorf("since then it is %.300q", got)
	}
	err := c.p.(sdk.LogReader).Logs(t.Context(), &sdk.LogsRequest{Type: m.typ, Name: "nobody"}, func(sdk.LogLine) error { return nil })
	if !sdk.IsNotFound(err) {
		t.Errorf("the log of nobody: %v", err)
	}
	err = c.p.(sdk.LogReader).Logs(t.Context(), &sdk.LogsRequest{Type: infra.TypeVPC, Name: "net"}, func(sdk.LogLine) error { return nil })
	if sdk.CodeOf(err) != sdk.CodeUnsupported {
		t.Errorf("the log of a network: %v", err)
	}
}

// Where nothing runs, the log is how the deployment went.
func TestAppLogsOfAFailure(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	c.fake.Inject(fakedo.Fault{Kind: fakedo.FaultDeployment, Lines: []string{"starting", "no database"}})
	m, err := c.try(infra.TypeContainerService, "shop", `{"image":"acme/shop"}`)
	if err == nil {
		t.Fatal("it did not fail")
	}
	if got := strings.Join(m.logs(sdk.LogsRequest{}), "\n"); !strings.Contains(got, "web: no database") || strings.Count(got, "no database") != 1 {
		t.Errorf("the log is %q", got)
	}
}

// Who follows has what is said when it is said, also when the connection was
// lost between, until they have enough.
func TestAppLogsFollowed(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	m := c.make(infra.TypeContainerService, "shop", `{"image":"acme/shop"}`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines, done := make(chan string), make(chan error, 1)
	go func() {
		done <- c.p.(sdk.LogReader).Logs(ctx, &sdk.LogsRequest{Type: m.typ, Name: "shop", Follow: true}, func(l sdk.LogLine) error { lines <- l.Text; return nil })
	}()
	want := func(text string) {
		t.Helper()
		select {
		case got := <-lines:
			if got != text {
				t.Fatalf("%q, want %q", got, text)
			}
		case err := <-done:
			t.Fatalf("it ended: %v", err)
		case <-time.After(20 * time.Second):
			t.Fatalf("%q did not come", text)
		}
	}
	want("listening")
	for i := range 3 {
		c.fake.Advance(time.Minute)
		c.fake.Say("shop", "web", fmt.Sprint("request ", i))
		want(fmt.Sprint("request ", i))
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("when it was ended: %v", err)
	}
	enough := errors.New("enough")
	err := c.p.(sdk.LogReader).Logs(t.Context(), &sdk.LogsRequest{Type: m.typ, ID: m.id, Follow: true, Tail: 1}, func(sdk.LogLine) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("when the receiver ends: %v", err)
	}
}

// An address of a log lets who has it read the log: it is in no error.
func TestLogAddressesStaySecret(t *testing.T) {
	c := newCloud(t, fakedo.Options{})
	a := c.p.(*provider).account.Load()
	a.transport = refusing{}
	_, err := a.fetch(t.Context(), "http://127.0.0.1:1/_logs/s3cr3t-t0ken")
	if err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("%v", err)
	}
	if err := a.stream(t.Context(), "http://127.0.0.1:1/_logs/s3cr3t-t0ken", nil); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("%v", err)
	}
}

type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }
