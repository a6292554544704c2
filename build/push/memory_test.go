package push_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gocodealone/wfctl/build/push"
)

// peakOf pushes an image whose one layer is f to a registry that keeps nothing,
// and returns the most memory that was in use meanwhile.
func peakOf(t *testing.T, f *os.File) (peak uint64) {
	t.Helper()
	dir := t.TempDir()
	put := func(content string) v1.Descriptor {
		h, n, err := v1.SHA256(strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "blobs", "sha256", h.Hex)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return v1.Descriptor{Digest: h, Size: n}
	}
	h, n, err := v1.SHA256(f)
	if err != nil {
		t.Fatal(err)
	}
	config := put(`{}`)
	if err := os.Rename(f.Name(), filepath.Join(dir, "blobs", "sha256", h.Hex)); err != nil {
		t.Fatal(err)
	}
	manifest := put(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` +
		config.Digest.String() + `","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"` + h.String() + `","size":` + strconv.FormatInt(n, 10) + `}]}`)
	var got int64
	var mu sync.Mutex // the server's goroutine ends before the push does; the race detector cannot know
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Location", "/v2/acme/app/blobs/uploads/1")
		switch {
		case q.URL.Path == "/v2/":
		case q.Method == http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		case q.Method == http.MethodPost:
			w.WriteHeader(http.StatusAccepted)
		case q.Method == http.MethodPatch:
			mu.Lock()
			defer mu.Unlock()
			buf := make([]byte, 1<<20)
			for {
				k, err := q.Body.Read(buf)
				got += int64(k)
				var m runtime.MemStats
				if got%(8<<20) < int64(k) {
					runtime.ReadMemStats(&m)
					peak = max(peak, m.HeapAlloc)
				}
				if err == io.EOF {
					break
				} else if err != nil {
					return
				}
			}
			w.WriteHeader(http.StatusAccepted)
		default:
			w.WriteHeader(http.StatusCreated)
		}
	}))
	defer s.Close()
	p := pusher()
	done(t, p)
	_, err = p.Push(t.Context(), push.Job{Content: &push.Content{Digest: manifest.Digest, Sources: []push.Source{push.Layout(dir)}}, Targets: []push.Target{{
		Registry: "r", Repository: strings.TrimPrefix(s.URL, "http://") + "/acme/app", Access: access{},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got < n {
		t.Fatalf("%d of %d bytes came in", got, n)
	}
	return peak
}
