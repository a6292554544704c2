// Command gensymbols turns what `yaegi extract` writes into package
// step/golang/symbols: functions that are called when a component asks for a
// package, in place of init functions that every start of wfctl would pay for.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gocodealone/wfctl/step/golang/symbols"
)

func main() {
	list := flag.Bool("list", false, "print the packages")
	from := flag.String("from", "", "the folder that yaegi wrote to")
	to := flag.String("to", "", "the folder of package symbols")
	flag.Parse()
	if *list {
		fmt.Println(strings.Join(symbols.Allowed(), " "))
		return
	}
	if err := turn(*from, *to); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var (
	tags = regexp.MustCompile(`\n//go:build.*\n// \+build.*\n`)
	head = regexp.MustCompile(`func init\(\) \{\n\tSymbols\["([^"]+)"\] = map\[string\]reflect\.Value\{`)
	word = regexp.MustCompile(`[^a-z0-9]+([a-z0-9])`)
)

// turn rewrites every package's file.
func turn(from, to string) error {
	for _, path := range symbols.Allowed() {
		name := strings.ReplaceAll(path, "/", "-")
		raw, err := os.ReadFile(filepath.Join(from, name+".go"))
		if err != nil {
			return err
		}
		text := tags.ReplaceAllString(string(raw), "\n")
		if !head.MatchString(text) {
			return fmt.Errorf("%s does not look as yaegi's files do", name)
		}
		function := word.ReplaceAllStringFunc(path, func(s string) string { return strings.ToUpper(s[1:]) })
		text = head.ReplaceAllString(text, "func "+function+"Symbols() map[string]reflect.Value {\n\treturn map[string]reflect.Value{")
		if err := os.WriteFile(filepath.Join(to, "gen_"+strings.ReplaceAll(name, "-", "_")+".go"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
