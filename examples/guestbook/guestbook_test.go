package guestbook_test

import (
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/guestbook"
)

// migrated makes a SQLite database as the migrations leave it, and returns its
// URL.
func migrated(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "guestbook.db")
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	slices.Sort(files)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		up, _, _ := strings.Cut(string(raw), "-- +goose Down")
		if _, err := db.Exec(up); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	return "sqlite://" + (&url.URL{Path: "/" + strings.TrimPrefix(filepath.ToSlash(path), "/")}).EscapedPath()
}

// serve runs the guestbook on a free port and returns its address.
func serve(t *testing.T, database string) string {
	t.Helper()
	store, err := guestbook.Open(database)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(guestbook.Handler(store, "v-test"))
	t.Cleanup(func() {
		server.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

// ask sends a request and reads the answer.
func ask(t *testing.T, method, address, kind, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(content)
}

func TestWriteAndReadBack(t *testing.T) {
	base := serve(t, migrated(t))
	status, body := ask(t, "POST", base+"/entries", "application/json", `{"author":" Ada ","message":"<b>Hello</b>"}`)
	var written guestbook.Entry
	if status != http.StatusCreated || json.Unmarshal([]byte(body), &written) != nil {
		t.Fatalf("got %d %s", status, body)
	}
	if written.ID == "" || written.Author != "Ada" || written.Written.IsZero() {
		t.Errorf("got %+v", written)
	}
	if status, _ := ask(t, "POST", base+"/entries", "application/x-www-form-urlencoded", "author=Grace&message=Second"); status != http.StatusOK {
		t.Errorf("the form was answered with %d", status)
	}
	_, body = ask(t, "GET", base+"/entries", "", "")
	if !strings.Contains(body, written.ID) || !strings.Contains(body, "Grace") {
		t.Errorf("the list lacks an entry: %s", body)
	}
	status, body = ask(t, "GET", base+"/", "", "")
	if status != http.StatusOK || !strings.Contains(body, "&lt;b&gt;Hello&lt;/b&gt;") || strings.Contains(body, "<b>Hello") {
		t.Errorf("the page shows an entry unescaped or not at all: %d %s", status, body)
	}
}

func TestRefusedEntries(t *testing.T) {
	base := serve(t, migrated(t))
	for name, c := range map[string]struct {
		body string
		want int
	}{
		"no JSON":          {`{`, http.StatusBadRequest},
		"no author":        {`{"message":"m"}`, http.StatusUnprocessableEntity},
		"blank message":    {`{"author":"a","message":"  "}`, http.StatusUnprocessableEntity},
		"long author":      {`{"author":"` + strings.Repeat("ä", 61) + `","message":"m"}`, http.StatusUnprocessableEntity},
		"long message":     {`{"author":"a","message":"` + strings.Repeat("m", 501) + `"}`, http.StatusUnprocessableEntity},
		"the longest":      {`{"author":"` + strings.Repeat("ä", 60) + `","message":"` + strings.Repeat("m", 500) + `"}`, http.StatusCreated},
		"more than a body": {`{"author":"a","message":"` + strings.Repeat("m", 20<<10) + `"}`, http.StatusBadRequest},
	} {
		if status, body := ask(t, "POST", base+"/entries", "application/json", c.body); status != c.want {
			t.Errorf("%s: got %d %s, want %d", name, status, body, c.want)
		}
	}
}

// TestHealth: a database without its table is not healthy, so that a gate
// stops a service that was started before its migration.
func TestHealth(t *testing.T) {
	if status, body := ask(t, "GET", serve(t, migrated(t))+"/healthz", "", ""); status != http.StatusOK || !strings.Contains(body, "v-test") {
		t.Errorf("got %d %s", status, body)
	}
	empty := "sqlite://" + (&url.URL{Path: "/" + strings.TrimPrefix(filepath.ToSlash(filepath.Join(t.TempDir(), "empty.db")), "/")}).EscapedPath()
	if status, _ := ask(t, "GET", serve(t, empty)+"/healthz", "", ""); status != http.StatusServiceUnavailable {
		t.Errorf("an empty database was answered with %d", status)
	}
	if status, body := ask(t, "GET", serve(t, empty)+"/version", "", ""); status != http.StatusOK || !strings.Contains(body, "v-test") {
		t.Errorf("got %d %s", status, body)
	}
}

func TestDatabaseAddresses(t *testing.T) {
	for _, address := range []string{"", "mysql://u:hush@h/db", "postgres://u:hush@[::1/db"} {
		_, err := guestbook.Open(address)
		if err == nil {
			t.Errorf("%q was taken", address)
		} else if strings.Contains(err.Error(), "hush") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}
