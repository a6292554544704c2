package config

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"os"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/gocodealone/wfctl/fault"
)

var update = flag.Bool("update", false, "write what errors read like now")

// files reads from an archive.
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
			indent := strings.Repeat(" ", e.Pos.Column-1)
			fmt.Fprintf(&b, "    | %s\n    | %s%s\n", strings.ReplaceAll(e.Source, "\t", "→"), indent, strings.Repeat("^", max(1, e.Width)))
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

// Each archive has an application file (or wfctl.yaml alone) and, under
// "want", how its errors and warnings read.
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
			got := loadArchive(t, a)
			var want string
			at := -1
			for i, f := range a.Files {
				if f.Name == "want" {
					want, at = string(f.Data), i
				}
			}
			if got == want {
				return
			}
			if !*update {
				t.Fatalf("got:\n%s\nwant:\n%s", got, want)
			}
			if at < 0 {
				a.Files = append(a.Files, txtar.File{Name: "want"})
				at = len(a.Files) - 1
			}
			a.Files[at].Data = []byte(got)
			if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func loadArchive(t *testing.T, a *txtar.Archive) string {
	t.Helper()
	if a.Files[0].Name == "wfctl.yaml" {
		_, err := LoadManifest(t.Context(), "wfctl.yaml", files(a))
		return render(err)
	}
	f, err := Load(t.Context(), "app.yaml", files(a))
	got := render(err)
	if f != nil {
		for _, w := range f.Warnings {
			got += "warning: " + render(fault.List{w})
		}
	}
	return got
}
