package world

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
)

// app is an address behind which one deployment at a time serves.
type app struct {
	server  *http.Server
	address string
	serving atomic.Pointer[deployment]

	mu          sync.Mutex
	deployments map[string]*deployment // those that run
}

// deployment is the running components of one.
type deployment struct {
	dir    string
	routes []route
	parts  map[string][]*process
	images map[string]*v1.Config
	spec   fakedo.Deployment
}

type route struct {
	fakedo.Route
	to http.Handler
}

// Deploy implements fakedo.World.
func (w *World) Deploy(d fakedo.Deployment) error {
	a, err := w.app(d.App)
	if err != nil {
		return err
	}
	dep := &deployment{dir: filepath.Join(w.dir, "app-"+d.ID), parts: map[string][]*process{}, images: map[string]*v1.Config{}, spec: d}
	if err := os.MkdirAll(dep.dir, 0o755); err != nil { //nolint:gosec // what runs in it may be another user
		return err
	}
	err = dep.jobsOf("PRE_DEPLOY")
	targets := map[string]http.Handler{}
	for _, c := range d.Components {
		if err == nil && (c.Kind == "service" || c.Kind == "worker") {
			targets[c.Name], err = dep.run(c)
		}
	}
	if err != nil {
		dep.stop()
		return err
	}
	for _, r := range d.Routes {
		if targets[r.Component] != nil {
			dep.routes = append(dep.routes, route{r, targets[r.Component]})
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deployments[d.ID] = dep
	return nil
}

// app gives an app its address when it is first deployed.
func (w *World) app(id string) (*app, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a := w.apps[id]; a != nil {
		return a, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		return nil, err
	}
	a := &app{address: "http://" + l.Addr().String(), deployments: map[string]*deployment{}}
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second}
	go a.server.Serve(l) //nolint:errcheck // it ends with close
	w.apps[id] = a
	return a, nil
}

// jobsOf runs the jobs of a kind, each to its end.
func (d *deployment) jobsOf(kind string) error {
	for _, c := range d.spec.Components {
		if c.Kind != "job" || c.Job != kind {
			continue
		}
		p, err := d.start(c, 0)
		if err != nil {
			return err
		}
		<-p.done
		if p.err != nil {
			return crash(c, p, p.err)
		}
	}
	return nil
}

func crash(c fakedo.Component, p *process, err error) error {
	return &fakedo.Crash{Component: c.Name, Message: "the container did not come up: " + err.Error(), Lines: p.written()}
}

// run starts the instances of a component and waits until each answers.
func (d *deployment) run(c fakedo.Component) (http.Handler, error) {
	var backends []*httputil.ReverseProxy
	for range c.Instances {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		p, err := d.start(c, port)
		if err != nil {
			return nil, err
		}
		if c.Kind == "worker" {
			continue
		}
		to := &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
		if err := p.wait(func() bool { return healthy(to, c.HealthPath) }); err != nil {
			return nil, crash(c, p, err)
		}
		backends = append(backends, httputil.NewSingleHostReverseProxy(to))
	}
	if len(backends) == 0 {
		return nil, nil
	}
	var next atomic.Uint64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		backends[next.Add(1)%uint64(len(backends))].ServeHTTP(w, r)
	}), nil
}

// healthy asks as the platform does: a connection, or 2xx and 3xx of a path.
func healthy(at *url.URL, path string) bool {
	if path == "" {
		conn, err := net.DialTimeout("tcp", at.Host, time.Second) //nolint:noctx // it has a bound
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}
	client := http.Client{Timeout: time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Get(at.JoinPath(path).String()) //nolint:noctx // it has a bound
	if err != nil {
		return false
	}
	return res.Body.Close() == nil && res.StatusCode >= 200 && res.StatusCode < 400
}

// start runs an image's program with its own files.
func (d *deployment) start(c fakedo.Component, port int) (*process, error) {
	if c.Image == "" {
		return nil, &fakedo.Crash{Component: c.Name, Message: "this world runs images of the account's registry only"}
	}
	root := filepath.Join(d.dir, c.Name)
	config, err := d.files(c, root)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Env: config.Env, Dir: "/"}
	prefix := root
	if within(cmd, root) {
		prefix = ""
	}
	if cmd.Args, err = argv(config, c.Command, prefix); err != nil {
		return nil, &fakedo.Crash{Component: c.Name, Message: err.Error()}
	}
	cmd.Path = cmd.Args[0]
	for k, v := range c.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	if port > 0 {
		cmd.Env = append(cmd.Env, "PORT="+strconv.Itoa(port))
	}
	p, err := startProcess(cmd)
	if err != nil {
		return nil, &fakedo.Crash{Component: c.Name, Message: err.Error()}
	}
	d.parts[c.Name] = append(d.parts[c.Name], p)
	return p, nil
}

// files are those of a component's image; its instances share them.
func (d *deployment) files(c fakedo.Component, root string) (*v1.Config, error) {
	if config := d.images[c.Name]; config != nil {
		return config, nil
	}
	if err := os.Mkdir(root, 0o755); err != nil { //nolint:gosec // what runs in it may be another user
		return nil, err
	}
	config, err := unpack(d.spec.Registry, c.Image, root)
	if err != nil {
		return nil, &fakedo.Crash{Component: c.Name, Message: "the image " + c.Image + " cannot be fetched: " + err.Error()}
	}
	d.images[c.Name] = config
	return config, nil
}

func (d *deployment) stop() {
	for _, processes := range d.parts {
		for _, p := range processes {
			p.stop()
		}
	}
	_ = os.RemoveAll(d.dir) // what cannot be removed goes with the world
}

// Promote implements fakedo.World.
func (w *World) Promote(id, next string) (string, error) {
	a, err := w.app(id)
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.deployments[next]
	if d == nil {
		return "", fmt.Errorf("nothing runs for the deployment %s", next)
	}
	old := a.serving.Swap(d)
	if old != nil && old != d {
		delete(a.deployments, old.spec.ID)
		old.stop()
	}
	return a.address, d.jobsOf("POST_DEPLOY")
}

// Discard implements fakedo.World.
func (w *World) Discard(id, which string) {
	w.mu.Lock()
	a := w.apps[id]
	w.mu.Unlock()
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if d := a.deployments[which]; d != nil && d != a.serving.Load() {
		delete(a.deployments, which)
		d.stop()
	}
}

// StopApp implements fakedo.World.
func (w *World) StopApp(id string) {
	w.mu.Lock()
	a := w.apps[id]
	delete(w.apps, id)
	w.mu.Unlock()
	if a != nil {
		_ = a.close() // its listener was closed before
	}
}

func (a *app) close() error {
	err := a.server.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.deployments {
		d.stop()
	}
	return err
}

// Lines implements fakedo.World.
func (w *World) Lines(id, which, component string) (out []string) {
	w.mu.Lock()
	a := w.apps[id]
	w.mu.Unlock()
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if d := a.deployments[which]; d != nil {
		for _, p := range d.parts[component] {
			out = append(out, p.written()...)
		}
	}
	return out
}

// ServeHTTP sends a request to the component with the longest prefix.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d := a.serving.Load()
	var best *route
	if d != nil {
		for i := range d.routes {
			c := &d.routes[i]
			if below(r.URL.Path, c.Prefix) && (best == nil || len(c.Prefix) > len(best.Prefix)) {
				best = c
			}
		}
	}
	if best == nil {
		http.Error(w, "no component serves this path", http.StatusNotFound)
		return
	}
	if rest := strings.TrimPrefix(r.URL.Path, strings.TrimSuffix(best.Prefix, "/")); !best.Keep || best.Rewrite != "" {
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawPath = "/"+strings.TrimPrefix(strings.TrimSuffix(best.Rewrite, "/")+rest, "/"), ""
	}
	best.to.ServeHTTP(w, r)
}

// below tells whether a path is a prefix or lies under it.
func below(path, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}
