package build

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/gocodealone/wfctl/fault"
)

func TestDockerfileFingerprint(t *testing.T) {
	dir := project(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY a /a\n", "a": "1", "left": "1", ".dockerignore": "left\nDockerfile\n"})
	print := func(options string) string {
		fp, err := Dockerfile{}.Fingerprint(t.Context(), Spec{Name: "app", BaseDir: dir, Options: json.RawMessage(options)})
		if err != nil {
			t.Fatal(err)
		}
		return fp
	}
	first := print(`{}`)
	write(t, filepath.Join(dir, "left"), "2")
	if print(`{}`) != first {
		t.Error("a file that is left out builds again")
	}
	seen := map[string]bool{first: true}
	for what, change := range map[string]func() string{
		"a file":      func() string { write(t, filepath.Join(dir, "a"), "2"); return `{}` },
		"the file":    func() string { write(t, filepath.Join(dir, "Dockerfile"), "FROM scratch\n"); return `{}` },
		"an argument": func() string { return `{"build_args": {"A": "1"}}` },
		"a platform":  func() string { return `{"platforms": ["linux/arm64"]}` },
	} {
		fp := print(change())
		if seen[fp] {
			t.Errorf("%s changed, and the fingerprint did not", what)
		}
		seen[fp] = true
	}
	for _, bad := range []string{`{"dockerfile": "no"}`, `{"build_args": {"A B": "1"}}`, `{"secrets": {"x": {}}}`, `{"secrets": {"x": {"env": "A", "file": "B"}}}`, `{"platforms": ["linux"]}`, `{"tagret": "x"}`} {
		var f *fault.Error
		if _, err := (Dockerfile{}).Fingerprint(t.Context(), Spec{Name: "app", BaseDir: dir, Options: json.RawMessage(bad)}); !errors.As(err, &f) || f.Code != fault.Config {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// fixed has one credential for all hosts.
type fixed struct{ authn.AuthConfig }

func (f fixed) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if strings.HasPrefix(r.RegistryStr(), "none.") {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(f.AuthConfig), nil
}

// Docker is given credentials by a helper that asks this process: they are in
// no file, and after a crash nothing is left that the next build does not sweep.
func TestDockerIsGivenCredentialsWithoutAFile(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	c, err := newDockerConfig(t.Context(), Host{Keychain: fixed{authn.AuthConfig{Username: "ada", Password: "s3cret-of-ada"}}, Command: []string{"/usr/bin/it's me"}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(host string) (string, error) {
		var out bytes.Buffer
		err := AnswerDocker(t.Context(), "get", strings.NewReader(host), &out, c.socket())
		return out.String(), err
	}
	if got, err := ask("https://ghcr.io"); err != nil || !strings.Contains(got, `"Username":"ada","Secret":"s3cret-of-ada"`) {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := ask("none.example"); err == nil || got != "credentials not found in native keychain\n" {
		t.Errorf("%q, %v", got, err)
	}
	err = filepath.WalkDir(tmp, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if strings.Contains(string(raw), "s3cret") {
			t.Errorf("%s holds the password", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(c.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	c.close()
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// One that a crash left, and one that another build holds.
	for _, name := range []string{"crashed", "held"} {
		write(t, filepath.Join(tmp, configPrefix+name, "lock"), "")
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(filepath.Join(tmp, configPrefix+name, "lock"), old, old); err != nil {
			t.Fatal(err)
		}
	}
	held := flockOf(t, filepath.Join(tmp, configPrefix+"held", "lock"))
	sweepDockerConfigs()
	held()
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) != 1 || left[0].Name() != configPrefix+"held" {
		t.Errorf("after sweeping: %v, %v", left, err)
	}
}

func flockOf(t *testing.T, file string) (release func()) {
	t.Helper()
	l := flock.New(file)
	if err := l.Lock(); err != nil {
		t.Fatal(err)
	}
	return func() { _ = l.Unlock() }
}

// The values of build arguments are in docker's environment: a command line
// can be read by everybody on the machine.
func TestBuildArgumentsAreNotOnTheCommandLine(t *testing.T) {
	b := &dockerfileBuild{}
	b.Args = map[string]string{"GREETING": "npm-sekret", "PATH": "/not/docker's", "TOKEN": "public"}
	b.Secrets = map[string]secretSource{"token": {Env: "TOKEN"}}
	args := strings.Join((&buildx{b: b}).flags(), " ")
	if strings.Contains(args, "npm-sekret") || !strings.Contains(args, "--build-arg GREETING ") || !strings.Contains(args, "--build-arg PATH=/not/docker's") || !strings.Contains(args, "--build-arg TOKEN=public") {
		t.Error(args)
	}
	if env := b.argEnv(); len(env) != 1 || env[0] != "GREETING=npm-sekret" {
		t.Error(env)
	}
}
