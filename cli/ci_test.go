package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rhysd/actionlint"

	"github.com/gocodealone/wfctl/builtin"
	"github.com/gocodealone/wfctl/cli"
)

const ciApp = `version: 1
project: demo
environments: {staging: {}}
modules:
  - {name: a, type: core.data, config: {values: {x: "${API_URL}"}}}
`

// in runs a command line in a folder with an environment of its own.
func in(t *testing.T, dir string, env map[string]string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	app := &cli.App{Kinds: builtin.Kinds(), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}}
	status = app.Run(context.WithoutCancel(t.Context()), append(args, "-C", dir))
	return status, out.String(), errs.String()
}

func ciProject(t *testing.T) string {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(ciApp), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A job that signs images gets the identity to sign with, or the key.
func TestGeneratedWorkflowSigns(t *testing.T) {
	for sign, want := range map[string]string{
		"true": "packages: write, id-token: write}", "false": "packages: write}\n", "{key_env: SIGNING_KEY, password_env: API_URL}": `SIGNING_KEY: "${{ secrets.SIGNING_KEY }}"`,
	} {
		dir := ciProject(t)
		app := ciApp + "images:\n  web: {builder: go, registries: [one], sign: " + sign + "}\n"
		for file, text := range map[string]string{"app.yaml": app, "wfctl.yaml": "version: 1\nregistries: [{name: one, type: docker, host: registry.example.com, namespace: acme}]\n"} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if status, _, stderr := in(t, dir, nil, "ci", "generate", "github", "--env", "staging"); status != 0 {
			t.Fatal(stderr)
		}
		raw, err := os.ReadFile(filepath.Join(dir, ".github", "workflows", "deploy-staging.yml"))
		if err != nil || !strings.Contains(string(raw), want) || strings.Count(string(raw), "API_URL:") != 1 {
			t.Errorf("sign: %s lacks %q: %v\n%s", sign, want, err, raw)
		}
	}
}

// The generated workflows are short, pass actionlint, pin their actions and
// pass on what the file reads from its environment.
func TestGeneratedWorkflows(t *testing.T) {
	dir := ciProject(t)
	if status, _, stderr := in(t, dir, nil, "ci", "generate", "github", "--env", "staging"); status != 0 {
		t.Fatal(stderr)
	}
	for _, name := range []string{"deploy-staging.yml", "teardown-staging.yml"} {
		path := filepath.Join(dir, ".github", "workflows", name)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		problems, err := linter.Lint(path, raw, nil)
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v %v", name, problems, err)
		}
		text := string(raw)
		if n := strings.Count(text, "\n"); n > 20 {
			t.Errorf("%s has %d lines", name, n)
		}
		for _, want := range []string{`env: {GITHUB_TOKEN: "${{ github.token }}", API_URL: "${{ secrets.API_URL }}"}`, "permissions: {contents: read", "# v4.2.2"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", name, want, text)
			}
		}
	}
	if status, _, stderr := in(t, dir, nil, "ci", "generate", "github", "--env", "staging"); status != 2 || !strings.Contains(stderr, "--force") {
		t.Errorf("over files that are there: %d, %s", status, stderr)
	}
}

// hub keeps the comments of a pull request, as GitHub's API does.
type hub struct {
	mu       sync.Mutex
	comments []map[string]any
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	switch {
	case r.Header.Get("Authorization") != "Bearer t0ken":
		w.WriteHeader(http.StatusForbidden)
	case r.Method == http.MethodGet:
		_ = json.NewEncoder(w).Encode(h.comments)
	case r.Method == http.MethodPost:
		body["id"] = len(h.comments) + 1
		h.comments = append(h.comments, body)
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodPatch:
		var id int
		_, _ = fmt.Sscanf(r.URL.Path, "/repos/o/r/issues/comments/%d", &id)
		h.comments[id-1]["body"] = body["body"]
	}
}

// The plan is one comment, replaced by the next plan.
func TestPlanComment(t *testing.T) {
	dir := ciProject(t)
	h := &hub{comments: []map[string]any{{"id": 1, "body": "a person's"}}}
	server := httptest.NewServer(h)
	defer server.Close()
	eventPath, summary := filepath.Join(dir, "event.json"), filepath.Join(dir, "summary.md")
	if err := os.WriteFile(eventPath, []byte(`{"pull_request": {"number": 7}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"API_URL": "https://one.example", "GITHUB_ACTIONS": "true", "GITHUB_API_URL": server.URL, "GITHUB_EVENT_PATH": eventPath,
		"GITHUB_REPOSITORY": "o/r", "GITHUB_TOKEN": "t0ken", "GITHUB_STEP_SUMMARY": summary,
	}
	for range 2 {
		if status, _, stderr := in(t, dir, env, "ci", "run", "--phase", "plan", "--comment", "--env", "staging"); status != 0 || !strings.Contains(stderr, "::group::plan") {
			t.Fatal(status, stderr)
		}
		if status, _, stderr := in(t, dir, env, "ci", "run", "--phase", "deploy", "--env", "staging"); status != 0 {
			t.Fatal(status, stderr)
		}
	}
	if len(h.comments) != 2 || !strings.Contains(h.comments[1]["body"].(string), "<!-- wfctl plan demo staging -->") {
		t.Errorf("the comments: %v", h.comments)
	}
	if raw, err := os.ReadFile(summary); err != nil || !strings.Contains(string(raw), "###") {
		t.Errorf("the summary: %s, %v", raw, err)
	}
}

// What is wrong is an annotation at its line, and a phase after another
// updates, never creates a second.
func TestPhases(t *testing.T) {
	dir := ciProject(t)
	env := map[string]string{"GITHUB_ACTIONS": "true"}
	status, _, stderr := in(t, dir, env, "ci", "run", "--phase", "deploy", "--env", "staging")
	if status != 1 || !strings.Contains(stderr, "::error file=") || !strings.Contains(stderr, "line=5") {
		t.Errorf("%d: %s", status, stderr)
	}
	if status, _, stderr = in(t, dir, env, "ci", "run", "--phase", "deplyo"); status != 2 || !strings.Contains(stderr, `did you mean "deploy"`) {
		t.Errorf("%d: %s", status, stderr)
	}
	env["API_URL"] = "https://one.example"
	if status, _, stderr = in(t, dir, env, "infra", "apply", "--env", "staging"); status != 0 {
		t.Fatal(stderr)
	}
	env["API_URL"] = "https://two.example"
	if status, _, stderr = in(t, dir, env, "ci", "run", "--env", "staging"); status != 0 || !strings.Contains(stderr, "a: updated") {
		t.Errorf("%d: %s", status, stderr)
	}
}
