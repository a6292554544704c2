package resolve

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
)

// A file of 1,000 modules with 12 different mistakes reports all 12, each at
// its place, in one run: those of the file, of resolving and of the schemas.
func TestTwelveMistakesInAThousandModules(t *testing.T) {
	mistakes := map[int]struct{ module, message string }{
		17:  {"{name: m17, type: core.data, confg: {}}", `unknown key "confg" in module "m17"`},
		99:  {"{name: m98, type: core.data}", `module "m98" is declared twice`},
		150: {"{name: m150, type: core.data, enabled: \"yes\"}", `"enabled" of module "m150" must be true or false, not a string`},
		222: {"{name: m222, type: infra.database, config: {provider: clod, engine: sqlite}}", `module "m222" names a provider "clod", which does not exist`},
		301: {"{name: m301, type: infra.databse, config: {provider: cloud}}", `provider "cloud" (local) has no type "infra.databse"`},
		388: {"{name: m388, type: core.data, config: {values: {a: \"${{ modules.m9999.outputs.a }}\"}}}", `there is no module "m9999"`},
		415: {"{name: m415, type: core.data, config: {values: {a: \"${{ modules.off.outputs.a }}\"}}}", `module "off" is disabled in environment "local"`},
		500: {"{name: m500, type: core.data, config: {values: {a: \"${MISSING}\"}}}", "the environment variable MISSING is not set"},
		611: {"{name: m611, type: core.data, environments: {locl: {}}}", `module "m611" has an overlay for environment "locl", which is not declared`},
		707: {"{name: m707, type: infra.database, config: {engine: sqlite, port: high}}", `"port" of module "m707" must be a whole number, not a string`},
		823: {"{name: m823, type: core.data, config: {values: {a: \"${{ fromJSN('1') }}\"}}}", `there is no function "fromJSN"`},
		999: {"{name: m999, type: infra.container_service, config: {image: \"${{ modules.db.outputs.hots }}\"}}", `"db" (infra.database) has no output "hots"`},
	}
	var b strings.Builder
	b.WriteString("version: 1\nproject: big\nenvironments: {local: {}}\nmodules:\n  - {name: cloud, type: iac.provider, config: {provider: local}}\n" +
		"  - {name: db, type: infra.database, config: {engine: sqlite}}\n  - {name: off, type: core.data, enabled: false}\n")
	const above = 7
	for i := range 1000 {
		module := fmt.Sprintf("{name: m%d, type: core.data, config: {values: {n: %d}}}", i, i)
		if m, ok := mistakes[i]; ok {
			module = m.module
		}
		b.WriteString("  - " + module + "\n")
	}
	file, loadErr := config.Load(t.Context(), "app.yaml", func(string) ([]byte, error) { return []byte(b.String()), nil })
	_, err := Validate(file, loadErr, Options{Getenv: getenv(nil)}, testCatalog())
	var list fault.List
	if !errors.As(err, &list) || len(list) != len(mistakes) {
		t.Errorf("%d errors:\n%s", len(list), render(err))
	}
	for i, m := range mistakes {
		found := false
		for _, e := range list {
			found = found || (e.Pos.Line == above+i+1 && e.Message == m.message && e.Source != "" && e.Pos.Column > 4)
		}
		if !found {
			t.Errorf("line %d: %s\nis not reported in\n%s", above+i+1, m.message, render(err))
		}
	}
}

// A file in which everything is wrong still ends in time.
func TestEverythingIsWrong(t *testing.T) {
	var b strings.Builder
	b.WriteString("project: big\nmodules:\n")
	for i := range 3000 {
		fmt.Fprintf(&b, "  - {name: module-%d, type: core.data, config: {values: {a: \"${{ modules.modul-%d.outputs.a }}\"}}}\n", i, i+1)
	}
	_, err := Validate(mustLoad(t, b.String()), nil, Options{Getenv: getenv(nil)}, testCatalog())
	var list fault.List
	if !errors.As(err, &list) || len(list) != 3000 {
		t.Errorf("%d errors", len(list))
	}
}

// A long chain neither recurses nor is a cycle.
func TestLongChain(t *testing.T) {
	var b strings.Builder
	b.WriteString("project: big\nmodules:\n  - {name: m0, type: core.data}\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "  - {name: m%d, type: core.data, depends_on: [m%d]}\n", i+1, i)
	}
	if _, err := Resolve(mustLoad(t, b.String()), Options{}); err != nil {
		t.Error(err)
	}
}

// What Load could not read at all is not resolved.
func TestValidateAcrossImports(t *testing.T) {
	read := func(name string) ([]byte, error) {
		switch name {
		case "app.yaml":
			return []byte("project: p\nimports: [a.yaml]\nmodules: [{name: x, type: core.data, config: {values: {a: \"${{ modules.y.outputs.a }}\"}}}]\n"), nil
		case "a.yaml":
			return []byte("modules: [{name: z, type: core.data, config: {value: 1}}]\n"), nil
		}
		return nil, fs.ErrNotExist
	}
	file, loadErr := config.Load(t.Context(), "app.yaml", read)
	_, err := Validate(file, loadErr, Options{Getenv: getenv(nil)}, testCatalog())
	want := "a.yaml:1:47: unknown key \"value\" in the config of module \"z\"\napp.yaml:3:64: there is no module \"y\""
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
}
