//go:build services

package backends_test

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
)

// careless is an S3 server that takes every PUT, whatever it is asked.
type careless struct {
	mu      sync.Mutex
	objects map[string][]byte
}

func (c *careless) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch data, ok := c.objects[r.URL.Path]; {
	case r.URL.Query().Has("list-type"):
		c.list(w, r)
	case r.Method == http.MethodPut:
		c.objects[r.URL.Path], _ = io.ReadAll(r.Body)
	case r.Method == http.MethodDelete:
		delete(c.objects, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
	default:
		_, _ = w.Write(data)
	}
}

func (c *careless) list(w http.ResponseWriter, r *http.Request) {
	type object struct{ Key string }
	var answer struct {
		XMLName  xml.Name `xml:"ListBucketResult"`
		Contents []object
	}
	for key := range c.objects {
		key = strings.TrimPrefix(key, r.URL.Path+"/")
		if dir, _ := path.Split(key); dir == r.URL.Query().Get("prefix") {
			answer.Contents = append(answer.Contents, object{key})
		}
	}
	_ = xml.NewEncoder(w).Encode(answer)
}

// A store that ignores If-None-Match is refused, unless a lease in Postgres
// stands beside it.
func TestLeaseBesideAStore(t *testing.T) {
	p := newProject(t, "postgres")
	store := &careless{objects: map[string][]byte{}}
	server := httptest.NewServer(store)
	defer server.Close()
	p.env = append(p.env, "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b")
	const file = "version: 1\nproject: shop\nmodules:\n  - {name: records, type: iac.state, config: {backend: s3, bucket: b, region: r, use_path_style: true, endpoint: %q%s}}\n" +
		"  - {name: a, type: core.data, config: {values: {x: \"${X:-1}\"}}}\n"
	p.write("app.yaml", fmt.Sprintf(file, server.URL, ""))
	if out := p.run(1, "infra", "apply"); !strings.Contains(out, "overwrites an object") || !strings.Contains(out, "lease") {
		t.Errorf("a store that overwrites\n%s", out)
	}
	clear(store.objects)

	p.write("app.yaml", fmt.Sprintf(file, server.URL, fmt.Sprintf(", lease: {postgres: {url: %q, schema: %s}}", p.place.Options["url"], p.place.Options["schema"])))
	p.run(0, "infra", "apply")
	p.run(0, "infra", "plan", "--exit-code")
	if out := p.run(0, "infra", "state", "list"); !strings.Contains(out, "core.data") {
		t.Errorf("nothing is recorded\n%s", out)
	}
	p.env = append(p.env, "X=2")
	p.run(0, "infra", "apply")
	p.run(0, "infra", "state", "check")
	stored, err := p.place.Dump(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range stored {
		if strings.Contains(string(data), "core.data") {
			t.Errorf("%s of the lease holds an entry and no name of an object", name)
		}
	}
	if len(store.objects) < 4 {
		t.Errorf("%d objects", len(store.objects))
	}
}
