package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxManifest bounds a manifest that is pushed.
const maxManifest = 4 << 20

// manifestFile is a manifest as it was pushed.
type manifestFile struct {
	Path        string    `json:"path"`
	ContentType string    `json:"content_type"`
	Pushed      time.Time `json:"pushed"`
	Body        []byte    `json:"body"`
}

// keepManifests remembers in a folder what the registry itself keeps in memory
// alone: each manifest is written as it is pushed, and pushed again when the
// registry starts.
func keepManifests(ctx context.Context, next http.Handler, dir string) (http.Handler, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := pushKept(ctx, next, dir); err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/manifests/") || r.Method != http.MethodPut && r.Method != http.MethodDelete {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxManifest))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := newHeldAnswer()
		next.ServeHTTP(answer, r)
		if answer.code < 300 {
			err = keepManifest(dir, r, body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer.send(w)
	}), nil
}

// heldAnswer keeps an answer back until the manifest is on disk.
type heldAnswer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func newHeldAnswer() *heldAnswer { return &heldAnswer{header: http.Header{}, code: http.StatusOK} }

// Header implements http.ResponseWriter.
func (a *heldAnswer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *heldAnswer) WriteHeader(code int) { a.code = code }

// Write implements http.ResponseWriter.
func (a *heldAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }

func (a *heldAnswer) send(w http.ResponseWriter) {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.code)
	_, _ = w.Write(a.body.Bytes())
}

func keepManifest(dir string, r *http.Request, body []byte) error {
	sum := sha256.Sum256([]byte(r.URL.Path))
	path := filepath.Join(dir, hex.EncodeToString(sum[:])+".json")
	if r.Method == http.MethodDelete {
		return os.RemoveAll(path)
	}
	raw, err := json.Marshal(manifestFile{Path: r.URL.Path, ContentType: r.Header.Get("Content-Type"), Pushed: time.Now(), Body: body})
	if err != nil {
		return err
	}
	return writeFile(path, raw, 0o600)
}

// pushKept hands the registry what it had; an index goes after the manifests
// that it names, since it came after them.
func pushKept(ctx context.Context, next http.Handler, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	var all []manifestFile
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		var m manifestFile
		if err := json.Unmarshal(raw, &m); err != nil {
			return fmt.Errorf("%s cannot be understood: %w", f, err)
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b manifestFile) int { return a.Pushed.Compare(b.Pushed) })
	for _, m := range all {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, m.Path, bytes.NewReader(m.Body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", m.ContentType)
		next.ServeHTTP(newHeldAnswer(), req)
	}
	return nil
}
