package leakhunt

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// service prints its environment, in pieces, and answers with it.
const service = `package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
)

func main() {
	for _, kv := range os.Environ() {
		for i := 0; i < len(kv); i += 1000 {
			fmt.Print(kv[i:min(i+1000, len(kv))])
		}
		fmt.Println()
	}
	fmt.Println("printed all")
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		fmt.Fprintln(w, strings.Join(os.Environ(), "\n"))
	})
	panic(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
`

func (g *ground) serviceApp(usable []Canary) string {
	var b strings.Builder
	b.WriteString(g.commands("create", usable...))
	b.WriteString(`  - {name: cloud, type: iac.provider, config: {provider: local}}
  - name: web
    type: infra.container_service
    config:
      provider: cloud
      image: "${{ images.app }}"
      health_check: {path: /healthz}
      env_vars_secret:
`)
	for _, c := range usable {
		fmt.Fprintf(&b, "        %s: \"${%s}\"\n", strings.ToUpper(c.Name), variable(c))
	}
	b.WriteString("      env_vars:\n")
	for _, c := range usable {
		fmt.Fprintf(&b, "        OF_%s: \"it has ${{ modules.%s.outputs.url }}\"\n", strings.ToUpper(c.Name), c.Name)
	}
	b.WriteString(`images: {app: {builder: go, package: ./cmd/app}}
gates: {well: {after: [web], timeout: 2s, max_retries: 1, targets: [{url: "${{ modules.web.outputs.url }}/"}]}}
`)
	return b.String()
}

// TestService: a service of provider local that prints its environment. Its
// log is on the disk; nothing but its own process has its secrets.
func TestService(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // the processes are looked at through /proc
	}
	t.Parallel()
	g := newGround(t)
	g.goEnv = goEnv()
	usable := slices.DeleteFunc(slices.Clone(g.canaries), func(c Canary) bool { return c.Name == Short })
	g.write("app.yaml", g.serviceApp(usable))
	g.write("go.mod", "module example.com/app\n\ngo 1.24\n")
	if err := os.MkdirAll(filepath.Join(g.project, "cmd", "app"), 0o700); err != nil {
		t.Fatal(err)
	}
	g.write("cmd/app/main.go", service)
	stop := g.watch()
	defer g.wfctl(0, "down", "--approve")
	out := g.wfctl(1, "up", "--verbose") // the gate fails
	for _, c := range usable {
		if strings.Contains(out, url.QueryEscape(c.Value)) {
			t.Errorf("%s is printed", c.Name)
		}
	}
	log := g.wfctl(0, "logs", "web")
	if !strings.Contains(log, "PEM=***MASKED***") || !strings.Contains(log, "OF_URL=***MASKED***") && !strings.Contains(log, "OF_URL=it has") || !strings.Contains(log, "printed all") {
		t.Errorf("the log: %s", log)
	}
	g.wfctl(0, "logs", "web", "--json")
	g.wfctl(1, "up", "--json")
	stop()
	g.nowhere("a service")
}

// watch looks at all processes, over and over, until the returned function
// is called.
func (g *ground) watch() func() {
	done := make(chan struct{})
	var wg sync.WaitGroup
	seen := map[string]bool{}
	own := func(p Process, _ string) bool {
		return bytes.Contains(p.Environment, []byte("LEAKHUNT=")) || bytes.Contains(p.CommandLine, []byte("/root-"))
	}
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			for _, leak := range g.finder.Processes(Processes(), own) {
				if !seen[leak] {
					seen[leak] = true
					g.t.Error(leak)
				}
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// goEnv asks Go for what it would lose with a new home.
func goEnv() []string {
	names := []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS"}
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		return nil
	}
	var env []string
	for i, value := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		if i < len(names) {
			env = append(env, names[i]+"="+value)
		}
	}
	return env
}
