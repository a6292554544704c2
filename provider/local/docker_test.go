//go:build unix

package local_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gocodealone/wfctl/provider/local"
)

// fakeDocker stands in for the client and its engine, which a machine of
// these tests does not have: images are thrown away, and a container is this
// process, noted in a file below HOME.
func fakeDocker(args []string) int {
	state := os.Getenv("HOME")
	switch args[0] {
	case "load":
		n, _ := io.Copy(io.Discard, os.Stdin)
		if n == 0 {
			return 1
		}
	case "ps":
		entries, _ := filepath.Glob(filepath.Join(state, "container-*"))
		for _, e := range entries {
			fmt.Println(filepath.Base(e))
		}
	case "rm":
		for _, id := range args[2:] {
			_ = os.Remove(filepath.Join(state, id))
		}
	case "run":
		return runContainer(state, args[1:])
	}
	return 0
}

// runJobContainer ends with what its last argument says.
func runJobContainer(args []string) int {
	env, _ := os.ReadFile("/dev/stdin")
	fmt.Printf("job %s with %d variables\n", args[len(args)-1], strings.Count(string(env), "\n"))
	if strings.HasPrefix(args[len(args)-1], "fail") {
		fmt.Println("the reason")
		return 4
	}
	return 0
}

func runContainer(state string, args []string) int {
	if strings.Contains(strings.Join(args, " "), "--network host") {
		return runJobContainer(args)
	}
	port := ""
	for i, a := range args {
		if a == "--publish" {
			port = strings.Split(args[i+1], ":")[1]
		}
	}
	file, err := os.Open("/dev/stdin")
	if err != nil {
		return 1
	}
	env := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		k, v, _ := strings.Cut(lines.Text(), "=")
		env[k] = v
	}
	note := filepath.Join(state, fmt.Sprintf("container-%d", os.Getpid()))
	_ = os.WriteFile(note, []byte(strings.Join(args, "\n")), 0o600)
	defer os.Remove(note)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: "127.0.0.1:" + port, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "version %s, secret of %d, port %s", env["VERSION"], len(env["SECRET"]), env["PORT"])
	})}
	defer context.AfterFunc(ctx, func() { _ = server.Shutdown(context.Background()) })()
	fmt.Println("container is up")
	_ = server.ListenAndServe()
	return 0
}

func TestDockerRunsUnderTheSupervisor(t *testing.T) {
	ref := image(t) // before HOME, which holds the build cache, is another
	home := t.TempDir()
	t.Setenv("HOME", home)
	client := filepath.Join(t.TempDir(), "docker")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(client, []byte(fmt.Sprintf("#!/bin/sh\nexec %s __docker \"$@\"\n", exe)), 0o700); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, func(o *local.Options) { o.LookPath = func(string) (string, error) { return client, nil } })
	text1 := strings.Replace(webConfig(ref, "1"), `{"image"`, `{"runtime": "docker", "image"`, 1)
	address := text(t, m.create("infra.container_service", "web", text1), "url")
	if status, body := get(t, address); status != 200 || body != "version 1, secret of 13, port 8080" {
		t.Fatalf("%d %s", status, body)
	}
	containers, _ := filepath.Glob(filepath.Join(home, "container-*"))
	if len(containers) != 2 {
		t.Fatalf("containers: %v", containers)
	}
	args, _ := os.ReadFile(containers[0])
	if strings.Contains(string(args), "canary") || !strings.Contains(string(args), "wfctl-module=web") {
		t.Errorf("docker run %s", args)
	}
	m.update("infra.container_service", "services/web", "web", strings.Replace(text1, `"VERSION": "1"`, `"VERSION": "2"`, 1))
	if _, body := get(t, address); !strings.HasPrefix(body, "version 2") {
		t.Error(body)
	}
	m.killSupervisor()
	if res, err := m.read("infra.container_service", "web"); err != nil || res.Healthy {
		t.Errorf("%+v, %v", res, err)
	}
	if again := text(t, m.update("infra.container_service", "services/web", "web", text1), "url"); again != address {
		t.Errorf("it moved from %s to %s", address, again)
	}
	noSecret(t, m.work)
}

func TestNoDockerEngineSaysSo(t *testing.T) {
	client := filepath.Join(t.TempDir(), "docker")
	script := "#!/bin/sh\necho 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock.' >&2\nexit 1\n"
	if err := os.WriteFile(client, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, func(o *local.Options) { o.LookPath = func(string) (string, error) { return client, nil } })
	err := m.tryCreate("infra.container_service", "web", fmt.Sprintf(`{"runtime": "docker", "image": %q}`, image(t)))
	if err == nil || !strings.Contains(err.Error(), "no Docker engine answers") {
		t.Errorf("%v", err)
	}
}
