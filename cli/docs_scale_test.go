package cli_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// What docs/scale.md shows under Schedules is valid, and its pipelines do what
// they say: here, in process.
func TestSchedulesOfTheDocumentation(t *testing.T) {
	raw, err := os.ReadFile("../docs/scale.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(raw), "## Schedules\n\n```yaml\n")
	shown, _, closed := strings.Cut(rest, "\n```")
	if !ok || !closed {
		t.Fatal("docs/scale.md shows no schedules")
	}
	var told atomic.Int32
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hook" {
			told.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"wanted": false}`))
	}))
	t.Cleanup(func() {
		outside.Close()
		if told.Load() != 1 {
			t.Errorf("drift was told %d times", told.Load())
		}
	})
	shown = strings.NewReplacer("https://chat.example.com", outside.URL, "https://previews.example.com", outside.URL).Replace(shown)
	dir := t.TempDir()
	script := schedulesScript + shown + "\n"
	if err := os.WriteFile(filepath.Join(dir, "schedules.txtar"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: dir, RequireExplicitExec: true, Setup: isolate, Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits}})
}

const schedulesScript = `env WFCTL_STATE_KEY_DIR=$WORK/.keys
exits 0 wfctl validate --env prod
exits 0 wfctl pipeline validate --env prod
exec wfctl up --env prod
exec wfctl up --env preview

# Nothing has drifted; then something has.
exits 0 wfctl pipeline run drift --env prod
rm thing
exec wfctl pipeline run drift --env prod
stderr 'tell: done'

# Where it cannot look that is a failure, and no drift.
cp .wfctl/state.db away
cp app.yaml .wfctl/state.db
! exec wfctl pipeline run drift --env prod
! stderr 'tell: done'
cp away .wfctl/state.db
exec wfctl infra apply --env prod --refresh

# A new secret, and what takes it.
cp .secrets.json before
exec wfctl pipeline run rotate --env prod
! cmp .secrets.json before

# Nobody wants the preview any more.
exec wfctl pipeline run expire --env preview
! exists .wfctl/preview.made
exists thing

-- app.yaml --
version: 1
project: shop
environments: {prod: {}, preview: {}}
secrets:
  stores: [{type: file, path: .secrets.json}]
  generate: [{key: session_key, type: random_hex}]
modules:
  - name: thing
    type: core.command
    config: {create: [touch, thing], read: [test, -e, thing], delete: [rm, -f, thing]}
    environments: {preview: {config: {create: [touch, .wfctl/preview.made], read: [test, -e, .wfctl/preview.made], delete: [rm, -f, .wfctl/preview.made]}}}
`
