//go:build services

package shipping_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// get asks a program that may be just starting.
func get(t *testing.T, url, want string) {
	t.Helper()
	until(t, "the program answers "+want, func() error {
		res, err := http.Get(url) //nolint:noctx // loopback
		if err != nil {
			return err
		}
		defer res.Body.Close() //nolint:errcheck // it is read
		body, err := io.ReadAll(res.Body)
		if err == nil && string(body) != want {
			err = fmt.Errorf("it answers %q", body)
		}
		return err
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // only its number counts
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (s *site) docker(args ...string) string {
	s.t.Helper()
	cmd := exec.Command("docker", args...)
	cmd.Dir = s.dir
	cmd.Env = append(s.env, "DOCKER_HOST="+variable(s.t, "WFCTL_TEST_DOCKER"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// One image goes to two registries and to DigitalOcean's, is pulled back by its
// digest and runs in Docker, and from its layout on this machine.
func TestOneImageEverywhere(t *testing.T) {
	s := newSite(t, true)
	variable(t, "WFCTL_TEST_DOCKER")
	refs := s.refs(s.wfctl("build", "--push", "--env", "staging", "--json"))
	if len(refs) != 3 || !strings.HasPrefix(refs["docr"], s.docr+"/shop/web@sha256:") {
		t.Fatalf("pushed to %v", refs)
	}
	s.noSecrets()
	for _, registry := range []string{"one", "two", "docr"} {
		s.wfctl("registry", "login", registry, "--env", "staging")
		s.docker("pull", "-q", refs[registry])
		port := freePort(t)
		id := s.docker("run", "-d", "--rm", "--network", "host", "-e", "PORT="+port, refs[registry])
		get(t, "http://127.0.0.1:"+port, "hello from one")
		s.docker("kill", id)
		s.docker("rmi", "-f", refs[registry])
		s.wfctl("registry", "logout", registry)
	}
	s.noSecrets()
	s.wfctl("up", "--env", "local")
	t.Cleanup(func() { s.wfctl("down", "--env", "local", "--approve") })
	get(t, strings.TrimSpace(s.wfctl("infra", "outputs", "--env", "local", "--module", "web", "--output", "url")), "hello from one")
	if out, err := s.command("build", "--push", "--env", "staging").CombinedOutput(); err != nil || !strings.Contains(string(out), "No changes") {
		t.Errorf("a second push: %v\n%s", err, out)
	}
}

// whole reads an image by a tag from a registry, every byte of it.
func whole(reference, user, password string) error {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return err
	}
	index, err := remote.Index(ref, remote.WithAuth(authn.FromConfig(authn.AuthConfig{Username: user, Password: password})))
	if err != nil {
		return err
	}
	return validate.Index(index)
}

const rounds = 12

// Killed at any instant, a push leaves no tag that leads to nothing and no
// password on disk, and the next one ends what it began.
func TestKilledWhilePushing(t *testing.T) {
	s := newSite(t, false)
	app, err := os.ReadFile(filepath.Join(s.dir, "app.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("app.yaml", strings.Replace(string(app), "[one, two, docr]", "[one, two]", 1))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	args := []string{"build", "--push", "--env", "staging"}
	repository := map[string]string{}
	took := 3 * time.Second
	killed, landed := 0, 0
	for round := range rounds {
		noise := make([]byte, 3<<20)
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		s.write("data/noise", string(noise))
		s.env = append(s.env, fmt.Sprintf("TAG=round%d", round))
		began := time.Now()
		cmd := s.command(args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		if round > 0 {
			select {
			case <-time.After(took*time.Duration(round%2)/2 + time.Duration(random.Int64N(int64(took)/2))): // the push is in the second half
				_ = cmd.Process.Signal(syscall.SIGKILL)
			case err := <-done:
				done <- err
			}
		}
		if err := <-done; err == nil {
			took, landed = time.Since(began), landed+1
		} else {
			killed++
		}
		s.noSecrets()
		if round > 0 {
			for registry, repo := range repository {
				err := whole(fmt.Sprintf("%s:round%d", repo, round), registry, "pw-"+registry)
				if missing := notThere(err); err != nil && !missing {
					t.Errorf("round %d, registry %s: %v", round, registry, err)
				}
			}
		}
		for registry, ref := range s.refs(s.wfctl(append(args, "--json")...)) {
			repository[registry], _, _ = strings.Cut(ref, "@")
			if err := whole(fmt.Sprintf("%s:round%d", repository[registry], round), registry, "pw-"+registry); err != nil {
				t.Errorf("round %d, taken up again, registry %s: %v", round, registry, err)
			}
		}
	}
	t.Logf("%d of %d were killed, %d were done before; a push takes %s", killed, rounds, landed, took)
	if killed < 3 || len(repository) != 2 {
		t.Errorf("only %d were killed; %v", killed, repository)
	}
	left, err := os.ReadDir(filepath.Join(s.dir, ".tmp"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if strings.HasPrefix(e.Name(), "wfctl-docker-") {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

// notThere tells an image that has not arrived.
func notThere(err error) bool {
	var coded interface{ Temporary() bool }
	return errors.As(err, &coded) && strings.Contains(err.Error(), "MANIFEST_UNKNOWN") || err != nil && strings.Contains(err.Error(), "NAME_UNKNOWN")
}
