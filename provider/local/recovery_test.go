//go:build unix

package local_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

// tryCreate makes a resource that may fail, and removes what is left of it.
func (m *machine) tryCreate(typ, name, text string) error {
	m.t.Helper()
	_, err := m.p.Create(m.t.Context(), &sdk.CreateRequest{Type: typ, Name: name, Ownership: owner(name), Config: config(text), IdempotencyKey: "k"}, reporter{m.t})
	m.t.Cleanup(func() { m.remove(typ, name, "") })
	return err
}

func do(t *testing.T, method, url, contentType string, body []byte) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// After the supervisor was killed a service reads as broken, and an update
// mends it where it was.
func TestServiceComesBack(t *testing.T) {
	m := newMachine(t)
	text1 := webConfig(image(t), "1")
	address := text(t, m.create("infra.container_service", "web", text1), "url")
	m.killSupervisor()
	res, err := m.read("infra.container_service", "web")
	if err != nil || res.Healthy || !strings.Contains(res.Reason, "supervisor is not running") {
		t.Fatalf("%+v, %v", res, err)
	}
	if again := text(t, m.update("infra.container_service", "services/web", "web", text1), "url"); again != address {
		t.Errorf("it moved from %s to %s", address, again)
	}
	if status, _ := get(t, address); status != 200 {
		t.Errorf("it answers %d", status)
	}
	if res, err := m.read("infra.container_service", "web"); err != nil || !res.Healthy {
		t.Errorf("%+v, %v", res, err)
	}
}

// A service whose supervisor was killed can be deleted, and nothing of it is
// left but logs.
func TestDeleteWithoutASupervisor(t *testing.T) {
	m := newMachine(t)
	m.create("infra.container_service", "web", webConfig(image(t), "1"))
	m.killSupervisor()
	m.remove("infra.container_service", "web", "services/web")
	entries, err := os.ReadDir(m.work)
	if err != nil || len(entries) != 1 || entries[0].Name() != "logs" {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestJobsAndWorkersRunWithTheService(t *testing.T) {
	m := newMachine(t)
	ref := image(t)
	other, err := buildImage("other", strings.Replace(program, "listening", "listening too", 1))
	if err != nil {
		t.Fatal(err)
	}
	full := func(version, more string) string {
		return strings.TrimSuffix(webConfig(ref, version), "}") + more + "}"
	}
	m.create("infra.container_service", "web", full("1", fmt.Sprintf(
		`, "jobs": [{"name": "before", "run_command": "/app/program before"}], "workers": [{"name": "w", "run_command": "/app/program work"}], "sidecars": [{"name": "s", "image": %q, "run_command": "/app/other work"}]`, other)))
	for job, want := range map[string]string{"web/before": "before 1", "web/w": "work 1", "web/s": "work 1"} {
		if log, _ := os.ReadFile(filepath.Join(m.work, "logs", "services", job+".log")); !strings.Contains(string(log), want) {
			t.Errorf("the log of %s is %q", job, log)
		}
	}
	if n := len(processesWith(filepath.Join(m.work, "services"))); n != 4 {
		t.Errorf("%d processes run, want 2 instances, a worker and a sidecar", n)
	}
	m.update("infra.container_service", "services/web", "web", full("2", ""))
	if n := len(processesWith(filepath.Join(m.work, "services"))); n != 2 {
		t.Errorf("%d processes run without the workers", n)
	}
	_, err = m.p.Update(t.Context(), &sdk.UpdateRequest{Type: "infra.container_service", ID: "services/web", Name: "web", Ownership: owner("web"),
		Config: config(full("3", `, "jobs": [{"name": "before", "run_command": "/app/program before", "env_vars": {"VERSION": "x"}}, {"name": "bad", "run_command": "/nothing"}]`))}, reporter{t})
	if err == nil || !strings.Contains(err.Error(), "no program /nothing") {
		t.Errorf("%v", err)
	}
	if res, err := m.read("infra.container_service", "web"); err != nil || !res.Healthy {
		t.Errorf("a job that fails must leave the old version: %+v, %v", res, err)
	}
}

// What was pushed is there after the registry's process was killed.
func TestRegistryKeepsManifests(t *testing.T) {
	m := newMachine(t)
	url := text(t, m.create("infra.registry", "images", `{}`), "url")
	const mediaType = "application/vnd.oci.image.index.v1+json"
	manifest := []byte(`{"schemaVersion":2,"mediaType":"` + mediaType + `","manifests":[]}`)
	if status, body := do(t, http.MethodPut, url+"/v2/app/manifests/v1", mediaType, manifest); status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	m.killSupervisor()
	if again := text(t, m.update("infra.registry", "registries/images", "images", `{}`), "url"); again != url {
		t.Errorf("it moved from %s to %s", url, again)
	}
	if status, body := do(t, http.MethodGet, url+"/v2/app/manifests/v1", "", nil); status != http.StatusOK || body != string(manifest) {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := do(t, http.MethodDelete, url+"/v2/app/manifests/v1", "", nil); status >= 300 {
		t.Errorf("delete answers %d", status)
	}
	m.killSupervisor()
	m.update("infra.registry", "registries/images", "images", `{}`)
	if status, _ := do(t, http.MethodGet, url+"/v2/app/manifests/v1", "", nil); status != http.StatusNotFound {
		t.Errorf("what was deleted answers %d", status)
	}
}

func TestKeysOfTheCacheExpire(t *testing.T) {
	m := newMachine(t)
	cache := m.create("infra.cache", "cache", `{}`)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", "127.0.0.1:"+text(t, cache, "port"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	ask := func(command string) string {
		if _, err := fmt.Fprint(conn, command+"\r\n"); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 64)
		n, err := conn.Read(answer)
		if err != nil {
			t.Fatal(err)
		}
		return string(answer[:n])
	}
	words := func(w ...string) string {
		s := fmt.Sprintf("*%d", len(w))
		for _, x := range w {
			s += fmt.Sprintf("\r\n$%d\r\n%s", len(x), x)
		}
		return s
	}
	if got := ask(words("SET", "k", "v", "PX", "300")); !strings.HasPrefix(got, "+OK") {
		t.Fatal(got)
	}
	eventually(t, "the key has expired", func() bool { return strings.HasPrefix(ask(words("GET", "k")), "$-1") })
}

// A target that is down is passed over.
func TestLoadBalancerPassesOverADeadTarget(t *testing.T) {
	m := newMachine(t)
	service := text(t, m.create("infra.container_service", "web", webConfig(image(t), "1")), "url")
	lb := m.create("infra.load_balancer", "lb", fmt.Sprintf(`{"rules": [{"protocol": "http", "port": 80, "target_port": 80}], "targets": ["127.0.0.1:1", %q]}`, service))
	for range 4 {
		if status, body := get(t, text(t, lb, "url")); status != 200 {
			t.Errorf("%d %s", status, body)
		}
		http.DefaultClient.CloseIdleConnections()
	}
}

func TestLogsAreFollowed(t *testing.T) {
	m := newMachine(t)
	m.create("infra.container_service", "web", webConfig(image(t), "1"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen := 0
	err := m.p.(sdk.LogReader).Logs(ctx, &sdk.LogsRequest{Type: "infra.container_service", ID: "services/web", Follow: true}, func(l sdk.LogLine) error {
		if l.Text == "listening" {
			if seen++; seen == 2 {
				cancel()
			}
		}
		return nil
	})
	if err != nil || seen != 2 {
		t.Errorf("%d lines, %v", seen, err)
	}
}

func TestDiagnoseTellsTheLastLines(t *testing.T) {
	m := newMachine(t)
	if err := m.tryCreate("infra.container_service", "bad", fmt.Sprintf(`{"image": %q, "env_vars": {"FAIL": "1"}}`, image(t))); err == nil {
		t.Fatal("it did not fail")
	}
	res, err := m.p.(sdk.Diagnoser).Diagnose(t.Context(), &sdk.DiagnoseRequest{Type: "infra.container_service", Name: "bad"})
	if err != nil || len(res.Diagnostics) == 0 || !strings.Contains(fmt.Sprint(res.Diagnostics), "it cannot start: FAIL is set") {
		t.Errorf("%+v, %v", res, err)
	}
}

// Many resources at once share one supervisor, come and go while others do,
// and leave nothing but logs.
func TestManyAtOnce(t *testing.T) {
	m := newMachine(t)
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			name := fmt.Sprintf("r%d", i)
			typ := []string{"infra.cache", "infra.registry", "infra.storage"}[i%3]
			for range 3 {
				res, err := m.p.Create(t.Context(), &sdk.CreateRequest{Type: typ, Name: name, Ownership: owner(name), Config: config(`{}`), IdempotencyKey: name}, reporter{t})
				if err != nil {
					t.Errorf("create %s: %v", name, err)
					return
				}
				if read, err := m.read(typ, name); err != nil || !read.Healthy {
					t.Errorf("%s reads as %+v, %v", name, read, err)
				}
				m.remove(typ, name, res.ID)
			}
		})
	}
	all.Wait()
	entries, err := os.ReadDir(m.work)
	if err != nil || len(entries) != 1 || entries[0].Name() != "logs" {
		t.Errorf("left: %v, %v", entries, err)
	}
}
