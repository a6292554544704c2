package attest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func run(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func nothing(string) string { return "" }

// A token in a remote's address stays out of what is published.
func TestOrigin(t *testing.T) {
	dir := t.TempDir()
	if o := FindOrigin(context.Background(), dir, nothing); o != (Origin{}) {
		t.Errorf("outside git: %+v", o)
	}
	run(t, dir, "init", "-q", "-b", "main")
	file := filepath.Join(dir, "a")
	if err := os.WriteFile(file, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "add", ".")
	run(t, dir, "commit", "-qm", "one")
	run(t, dir, "remote", "add", "origin", "https://user:token-canary@github.com/acme/shop.git")
	o := FindOrigin(context.Background(), dir, nothing)
	if o.URI != "git+https://github.com/acme/shop" || len(o.Commit) != 40 || o.Dirty || o.Ref != "refs/heads/main" {
		t.Errorf("%+v", o)
	}
	if err := os.WriteFile(file, []byte("2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := FindOrigin(context.Background(), dir, nothing); !o.Dirty {
		t.Errorf("%+v", o)
	}
}

func TestOriginOfAWorkflow(t *testing.T) {
	vars := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/shop", "GITHUB_SHA": strings.Repeat("0a", 20),
		"GITHUB_REF": "refs/tags/v1", "GITHUB_RUN_ID": "42", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_WORKFLOW_REF": "acme/shop/.github/workflows/release.yml@refs/tags/v1",
	}
	o := FindOrigin(context.Background(), t.TempDir(), func(n string) string { return vars[n] })
	want := Origin{
		URI: "git+https://github.com/acme/shop", Commit: strings.Repeat("0a", 20), Ref: "refs/tags/v1",
		Builder:    "https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/v1",
		Invocation: "https://github.com/acme/shop/actions/runs/42/attempts/2",
	}
	if o != want {
		t.Errorf("%+v", o)
	}
}

func TestRepositoryURI(t *testing.T) {
	for remote, want := range map[string]string{
		"git@github.com:acme/shop.git":           "git+ssh://github.com/acme/shop",
		"ssh://git@github.com/acme/shop":         "git+ssh://github.com/acme/shop",
		"https://x:y@example.com/a/b.git?t=1#f":  "git+https://example.com/a/b",
		"/home/somebody/shop":                    "",
		"../shop":                                "",
		"file:///home/somebody/shop":             "",
		"https://token@dev.azure.com/o/p/_git/r": "git+https://dev.azure.com/o/p/_git/r",
	} {
		if got := repositoryURI(remote); got != want {
			t.Errorf("%s: %q", remote, got)
		}
	}
}
