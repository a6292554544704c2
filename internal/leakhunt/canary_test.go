package leakhunt

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The hunt is worth nothing if it finds nothing.
func TestFinderFinds(t *testing.T) {
	canaries := Canaries("seed")
	f := NewFinder(canaries)
	for _, c := range canaries {
		for _, part := range c.parts {
			for how, text := range spellings(part) {
				if found := f.Find([]byte("<" + text + ">")); len(found) == 0 {
					t.Errorf("%s as %s is not found", c.Name, how)
				}
			}
			if half := part[:len(part)/2]; len(half) >= pieceSize && len(f.Find([]byte(half))) == 0 {
				t.Errorf("half of %s is not found", c.Name)
			}
		}
		for _, lead := range []string{"", "x", "xy"} {
			if c.Name != Short && len(f.Find([]byte(base64.StdEncoding.EncodeToString([]byte(lead+c.Value+"tail"))))) == 0 {
				t.Errorf("%s in base64 after %q is not found", c.Name, lead)
			}
		}
	}
	for _, plain := range []string{"", "-----BEGIN PRIVATE KEY-----", `{"user": "app", "password": "***MASKED***"}`, "postgres://app:***@db.example.com:5432/app?sslmode=require"} {
		if found := f.Find([]byte(plain)); len(found) > 0 {
			t.Errorf("%v in %q", found, plain)
		}
	}
	if slices.EqualFunc(canaries, Canaries("other"), func(a, b Canary) bool { return a.Value == b.Value }) {
		t.Error("every run has the same canaries")
	}
}

func TestFilesAndProcesses(t *testing.T) {
	canaries := Canaries("files")
	f := NewFinder(canaries)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("x "+canaries[0].Value), 0o600); err != nil {
		t.Fatal(err)
	}
	leaks, err := f.Files(dir)
	if err != nil || len(leaks) == 0 || !strings.Contains(leaks[0], "pem") {
		t.Errorf("%v, %v", leaks, err)
	}
	p := Process{PID: 1, CommandLine: []byte("tool\x00--token=" + canaries[6].Value), Environment: []byte("A=" + canaries[7].Value)}
	none := func(Process, string) bool { return false }
	all := func(Process, string) bool { return true }
	if got := f.Processes([]Process{p}, none); len(got) < 2 {
		t.Errorf("%v", got)
	}
	if got := f.Processes([]Process{p}, all); len(got) == 0 || slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "environment") }) {
		t.Errorf("%v", got)
	}
	if list := Processes(); list != nil && !slices.ContainsFunc(list, func(p Process) bool { return p.PID == os.Getpid() && bytes.Contains(p.CommandLine, []byte("leakhunt")) }) {
		t.Error("this process is not among the processes")
	}
}
