package faultproxy

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every mishap happens, the rest passes, and a cut stops all.
func TestHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello, world") }))
	defer server.Close()
	p, err := HTTP(server.URL, Options{Seed: 1, OneIn: 2})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	seen := map[string]int{}
	for range 200 {
		seen[outcome(client, "http://"+p.Addr)]++
	}
	for _, want := range []string{"hello, world", "500", "429", "503", "broken"} {
		if seen[want] == 0 {
			t.Errorf("%q never came: %v", want, seen)
		}
	}
	if said := p.String(); !strings.Contains(said, "cut off:") || !strings.Contains(said, "answer lost:") {
		t.Error(said)
	}
	p.Cut()
	for range 20 {
		if got := outcome(client, "http://"+p.Addr); got != "broken" {
			t.Errorf("something passed a cut: %s", got)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	client.CloseIdleConnections()
}

func outcome(client *http.Client, address string) string {
	res, err := client.Get(address)
	if err != nil {
		return "broken"
	}
	defer res.Body.Close() //nolint:errcheck // a test
	if res.StatusCode != http.StatusOK {
		return res.Status[:3]
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return "broken"
	}
	return string(data)
}

func TestTCP(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	p, err := TCP(echo.Addr().String(), Options{Seed: 2, OneIn: 3, Jitter: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	whole, broken := 0, 0
	for range 60 {
		c, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "hello")
		buf := make([]byte, 5)
		if _, err := io.ReadFull(c, buf); err == nil {
			whole++
		} else {
			broken++
		}
		_ = c.Close()
	}
	if whole == 0 || broken == 0 {
		t.Errorf("%d whole, %d broken: %s", whole, broken, p)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	_ = echo.Close()
	<-done
}
