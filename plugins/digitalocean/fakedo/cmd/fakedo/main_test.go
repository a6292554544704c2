package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
)

func TestProgramServes(t *testing.T) {
	fakedo.SpecFor(t)
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"--addr", "127.0.0.1:0", "--token", "secret"}, w)
		w.Close()
		ended <- err
	}()
	lines := bufio.NewScanner(r)
	url := ""
	for url == "" && lines.Scan() {
		_, url, _ = strings.Cut(lines.Text(), "DIGITALOCEAN_API_URL=")
	}
	rest := make(chan string, 1)
	go func() {
		var all strings.Builder
		for lines.Scan() {
			all.WriteString(lines.Text() + "\n")
		}
		rest <- all.String()
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v2/account", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer secret")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("answered %d", answer.StatusCode)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if shown := <-rest; !strings.Contains(shown, "GET /v2/account 200") {
		t.Errorf("it has shown %s", shown)
	}
}

func TestProgramRefusesWrongFlags(t *testing.T) {
	for _, args := range [][]string{{"--speed", "0"}, {"more"}, {"--nothing"}, {"--spec", "/nowhere.json"}} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%v were taken", args)
		}
	}
}
