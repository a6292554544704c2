//go:build services

package shipping_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// counted stands before a registry and counts the bytes that are sent there.
type counted struct {
	*httptest.Server
	host string
	sent atomic.Int64
}

func countBefore(t *testing.T, host string) *counted {
	t.Helper()
	c := &counted{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", host, r.In.Host // Location leads here again
	}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/uploads/") && r.Body != nil {
			r.Body = &countedBody{r.Body, &c.sent}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(c.Close)
	c.host = strings.TrimPrefix(c.URL, "http://")
	return c
}

type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

// goImage makes an image of the Go toolchain: nothing can be pulled here.
func (s *site) goImage() {
	s.t.Helper()
	root := goEnv(s.t, "GOROOT")
	cmd := exec.Command("docker", "import", "-", "shipping-go:1")
	cmd.Env = append(s.env, "DOCKER_HOST="+variable(s.t, "WFCTL_TEST_DOCKER"))
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	w := tar.NewWriter(in)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() && (d.Name() == "testdata" || rel == "src/cmd" || rel == "test" || rel == "api" || rel == "doc" || rel == "misc") {
			return filepath.SkipDir
		}
		if !d.Type().IsRegular() || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "usr/local/go/" + rel, Size: info.Size(), Mode: int64(info.Mode().Perm())}); err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, f)
		return errors.Join(err, f.Close())
	})
	if err := errors.Join(err, w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}), w.Close(), in.Close(), cmd.Wait()); err != nil {
		s.t.Fatal(err)
	}
}

const inside = `FROM shipping-go:1 AS build
WORKDIR /source
COPY go.mod main.go ./
ENV CGO_ENABLED=0 GOCACHE=/tmp/cache GOTOOLCHAIN=local GOFLAGS=-mod=mod
RUN ["/usr/local/go/bin/go", "build", "-trimpath", "-ldflags=-s -w", "-o", "/web", "."]
FROM scratch
COPY --from=build /web /app/web
ENTRYPOINT ["/app/web"]
`

const outside = `FROM scratch
COPY web /app/web
ENTRYPOINT ["/app/web"]
`

// timed runs something and says how long it took.
func timed(do func()) time.Duration {
	began := time.Now()
	do()
	return time.Since(began)
}

// Beside `docker build` and two `docker push` of the same static program: cold
// in at most half of the time, with another program in at most a fifth, and
// without a byte that goes out twice.
func TestBesideDocker(t *testing.T) {
	s := newSite(t, false)
	if err := os.MkdirAll(filepath.Join(s.dir, ".home", ".docker", "cli-plugins"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(variable(t, "WFCTL_TEST_BUILDX"), filepath.Join(s.dir, ".home", ".docker", "cli-plugins", "docker-buildx")); err != nil {
		t.Fatal(err)
	}
	one, two := countBefore(t, s.one), countBefore(t, s.two)
	rewrite := func(file string, pairs ...string) {
		raw, err := os.ReadFile(filepath.Join(s.dir, file))
		if err != nil {
			t.Fatal(err)
		}
		s.write(file, strings.NewReplacer(pairs...).Replace(string(raw)))
	}
	rewrite("wfctl.yaml", s.one, one.host, s.two, two.host)
	rewrite("app.yaml", "[one, two, docr]", "[one, two]", "platforms: [linux/amd64, linux/arm64], files: {/data: data}", "platforms: [linux/"+runtime.GOARCH+"]")
	s.goImage()
	t.Cleanup(func() { s.docker("rmi", "-f", "shipping-go:1") })
	s.wfctl("registry", "login", "one")
	s.wfctl("registry", "login", "two")
	s.write("inside.Dockerfile", inside)
	s.write("outside/Dockerfile", outside)
	ns := fmt.Sprint(time.Now().UnixNano())
	names := []string{one.host + "/docker/" + ns + ":1", two.host + "/docker/" + ns + ":1"}
	viaDocker := func(args ...string) {
		s.docker(append([]string{"buildx", "build", "-q", "--load", "--network", "none", "-t", names[0], "-t", names[1]}, args...)...)
		s.docker("push", "-q", names[0])
		s.docker("push", "-q", names[1])
	}
	compiled := func() {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", "outside/web", ".")
		cmd.Dir, cmd.Env = s.dir, append(s.env, "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		viaDocker("outside")
	}
	ours := func() { s.wfctl("build", "--push", "--env", "staging") }
	version := func(v string) {
		s.write("main.go", "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\""+v+ns+"\") }\n")
	}
	s.docker("builder", "prune", "-af")
	version("one")
	cold := timed(ours) // nothing of the program is compiled; the standard library is, as on every machine that builds Go
	sent, size := one.sent.Swap(0), imageSize(t, s)
	if again := two.sent.Swap(0); sent != size || again != size {
		t.Errorf("an image of %d bytes was sent as %d and %d", size, sent, again)
	}
	beside := func(what string, ours, docker time.Duration) float64 {
		ratio := ours.Seconds() / docker.Seconds()
		t.Logf("%s: wfctl %.2f s, docker %.2f s, %.2f of it", what, ours.Seconds(), docker.Seconds(), ratio)
		return ratio
	}
	if ratio := beside("cold", cold, timed(func() { viaDocker("-f", "inside.Dockerfile", ".") })); ratio > 0.5 {
		t.Errorf("cold it takes %.2f of docker's time", ratio)
	}
	one.sent.Store(0)
	version("two")
	changed := timed(ours)
	if sent = one.sent.Swap(0); sent > size-150_000 { // certificates and time zones are there already
		t.Errorf("another program of an image of %d bytes sent %d", size, sent)
	}
	if ratio := beside("another program", changed, timed(func() { viaDocker("-f", "inside.Dockerfile", ".") })); ratio > 0.2 {
		t.Errorf("with another program it takes %.2f of docker's time", ratio)
	}
	version("three")
	compiledDocker := timed(compiled)
	version("four")
	beside("another program, compiled by go build before docker build", timed(ours), compiledDocker)
	one.sent.Store(0)
	t.Logf("nothing new: wfctl %.2f s", timed(ours).Seconds())
	if one.sent.Load() != 0 {
		t.Errorf("a push of nothing new sent %d bytes", one.sent.Load())
	}
}

// imageSize is what the blobs of the image take that is in the layout alone.
func imageSize(t *testing.T, s *site) (size int64) {
	t.Helper()
	dir := filepath.Join(s.dir, ".wfctl", "images", "web", "blobs", "sha256")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(raw[:min(len(raw), 20)]), `{"schemaVersion"`) {
			size += int64(len(raw))
		}
	}
	return size
}
