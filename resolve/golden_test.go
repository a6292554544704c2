package resolve

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/gocodealone/wfctl/config"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/sdk"
)

var update = flag.Bool("update", false, "write what errors read like now")

func files(a *txtar.Archive) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		for _, f := range a.Files {
			if f.Name == filepath.ToSlash(name) {
				return f.Data, nil
			}
		}
		return nil, fs.ErrNotExist
	}
}

// render shows an error with its line, caret and hint.
func render(err error) string {
	var list fault.List
	if err == nil {
		return ""
	}
	if !errors.As(err, &list) {
		return err.Error() + "\n"
	}
	var b strings.Builder
	for _, e := range list {
		b.WriteString(e.Error() + "\n")
		if e.Source != "" {
			fmt.Fprintf(&b, "    | %s\n    | %s%s\n", e.Source, strings.Repeat(" ", e.Pos.Column-1), strings.Repeat("^", max(1, e.Width)))
		}
		if e.Hint != "" {
			b.WriteString("    = " + e.Hint + "\n")
		}
		for _, d := range e.Detail {
			b.WriteString("    . " + d + "\n")
		}
	}
	return b.String()
}

func schemaOf(types ...sdk.ResourceSchema) *sdk.Schema { return &sdk.Schema{Types: types} }

func outputs(names ...string) []sdk.OutputSchema {
	var list []sdk.OutputSchema
	for _, n := range names {
		list = append(list, sdk.OutputSchema{Name: n, Sensitive: n == "connection_url"})
	}
	return list
}

// testCatalog has a platform that is small enough to look at.
func testCatalog() Catalog {
	database := sdk.ResourceSchema{Name: "infra.database", NameMax: 30, Outputs: outputs("host", "port", "connection_url"), Config: json.RawMessage(`{
		"type": "object", "additionalProperties": false, "required": ["engine"],
		"properties": {
			"engine": {"enum": ["postgres", "mysql", "sqlite"]},
			"size": {"type": "string", "enum": ["xs", "s", "m", "l", "xl"]},
			"port": {"type": "integer", "minimum": 1, "maximum": 65535},
			"password": {"type": "string", "minLength": 8, "x-sensitive": true},
			"users": {"type": "array", "uniqueItems": true, "items": {"type": "string", "pattern": "^[a-z]+$"}}
		}}`)}
	service := sdk.ResourceSchema{Name: "infra.container_service", Outputs: outputs("url"), Config: json.RawMessage(`{
		"type": "object", "additionalProperties": false, "required": ["image"],
		"properties": {
			"image": {"type": "string"}, "http_port": {"type": "integer"}, "instance_count": {"type": "integer", "minimum": 1},
			"env_vars": {"type": "object", "additionalProperties": {"type": "string"}},
			"health_check": {"$ref": "#/$defs/check"},
			"domain": {"type": "string", "format": "hostname"},
			"routes": {"type": "array", "items": {"type": "object", "additionalProperties": false, "required": ["path"], "properties": {"path": {"type": "string"}, "port": {"type": "integer"}}}},
			"source": {"oneOf": [{"type": "string"}, {"type": "object", "required": ["git"], "properties": {"git": {"type": "string"}}, "additionalProperties": false}]}
		},
		"$defs": {"check": {"type": "object", "additionalProperties": false, "required": ["path"], "properties": {"path": {"type": "string"}, "timeout": {"type": "string", "format": "duration-go"}}}}}`)}
	platform := schemaOf(database, service)
	platform.Config = json.RawMessage(`{"type": "object", "additionalProperties": false, "properties": {"token": {"type": "string"}, "region": {"enum": ["fra1", "nyc3"]}}}`)
	platform.Unsupported = map[string]string{"infra.iam_role": "the platform has no roles: use a token of the project"}
	local := schemaOf(database, service)
	local.Config = json.RawMessage(`{"type": "object", "additionalProperties": false}`)
	core := schemaOf(sdk.ResourceSchema{Name: "core.data", DynamicOutputs: true, Config: json.RawMessage(`{"type": "object", "additionalProperties": false, "properties": {"values": {"type": "object"}}}`)})
	project := schemaOf(
		sdk.ResourceSchema{Name: "image", Outputs: outputs("ref", "digest"), Config: json.RawMessage(`{"type": "object", "additionalProperties": false, "required": ["builder"], "properties": {"builder": {"enum": ["go", "dockerfile"]}, "package": {"type": "string"}}}`)},
		sdk.ResourceSchema{Name: "secret", Config: json.RawMessage(`{"type": "object"}`)},
		sdk.ResourceSchema{Name: "migration", Config: json.RawMessage(`{"type": "object", "additionalProperties": false, "required": ["database_url"], "properties": {"database_url": {"type": "string"}, "dir": {"type": "string"}}}`)},
		sdk.ResourceSchema{Name: "gate", Config: json.RawMessage(`{"type": "object", "additionalProperties": false, "properties": {"timeout": {"type": "string", "format": "duration-go"}, "targets": {"type": "array"}}}`)},
	)
	providers := kind.NewSet("provider", map[string]*sdk.Schema{"digitalocean": platform, "local": local, "core": core, "project": project})
	backends := kind.NewSet("state backend", map[string]json.RawMessage{
		"sqlite": json.RawMessage(`{"type": "object", "additionalProperties": false, "properties": {"path": {"type": "string"}}}`),
		"s3":     json.RawMessage(`{"type": "object", "required": ["bucket"], "properties": {"bucket": {"type": "string"}}}`),
	})
	return Catalog{Provider: providers.Get, Backend: backends.Get}
}

// options reads the comment of an archive: "env: NAME" and "set: NAME=value".
func options(comment string) Options {
	vars := map[string]string{}
	o := Options{Getenv: func(name string) (string, bool) { v, ok := vars[name]; return v, ok }}
	for _, line := range strings.Split(comment, "\n") {
		if env, ok := strings.CutPrefix(line, "env: "); ok {
			o.Env = env
		}
		if assignment, ok := strings.CutPrefix(line, "set: "); ok {
			name, value, _ := strings.Cut(assignment, "=")
			vars[name] = value
		}
	}
	return o
}

// Each archive has an application file and, under "want", how what is wrong
// with it reads.
func TestErrorsReadAs(t *testing.T) {
	archives, _ := filepath.Glob("testdata/errors/*.txtar")
	if len(archives) < 10 {
		t.Fatalf("only %d archives", len(archives))
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file, loadErr := config.Load(t.Context(), "app.yaml", files(a))
			set, err := Validate(file, loadErr, options(string(a.Comment)), testCatalog())
			got := render(err)
			if set != nil {
				for _, w := range set.Warnings {
					got += "warning: " + render(fault.List{w})
				}
			}
			golden(t, path, a, got)
		})
	}
}

func golden(t *testing.T, path string, a *txtar.Archive, got string) {
	t.Helper()
	last := &a.Files[len(a.Files)-1]
	if last.Name != "want" {
		a.Files = append(a.Files, txtar.File{Name: "want"})
		last = &a.Files[len(a.Files)-1]
	}
	if got == string(last.Data) {
		return
	}
	if !*update {
		t.Fatalf("got:\n%s\nwant:\n%s", got, last.Data)
	}
	last.Data = []byte(got)
	if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}
