package leakhunt

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/builtin"
	"github.com/gocodealone/wfctl/cli"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/sdk"
)

// TestMain is also wfctl, its supervisor, and the commands that it runs: they
// do the worst that they can do with their secrets.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("LEAKHUNT") == "thing":
		os.Exit(thing(os.Args[1]))
	case os.Getenv("LEAKHUNT") == "wfctl", len(os.Args) > 1 && os.Args[1] == "__supervise":
		os.Exit(cli.Main(kinds(), os.Args[1:]))
	}
	os.Exit(m.Run())
}

// kinds is what ships, and a provider that blabs.
func kinds() engine.Kinds {
	k := builtin.Kinds()
	all := map[string]engine.ProviderFactory{"blab": func(engine.Host) sdk.Provider { return blab{} }}
	for _, name := range k.Providers.Names() {
		if factory, err := k.Providers.Get(name); err == nil {
			all[name] = factory
		}
	}
	k.Providers = kind.NewSet("provider", all)
	if os.Getenv("LEAKHUNT_PANIC") != "" {
		k.Version = ""
		k.Providers = kind.NewSet("provider", map[string]engine.ProviderFactory{"core": func(engine.Host) sdk.Provider {
			panic("the table of providers: " + os.Getenv("DEPLOY_TOKEN"))
		}})
	}
	return k
}

// thing is the command of a core.command. Its secret is in SECRET.
func thing(what string) int {
	secret, name := os.Getenv("SECRET"), os.Getenv("NAME")
	made := filepath.Join("things", name)
	if what != "read" {
		look(name)
	}
	switch what {
	case "create", "update":
		blurt(name, secret)
		if err := os.WriteFile(made, nil, 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		answer(secret)
	case "read":
		blurt(name, secret)
		if _, err := os.Stat(made); err != nil {
			return 1
		}
		answer(secret)
	case "fail":
		blurt(name, secret)
		return 3
	case "hang":
		blurt(name, secret)
		_ = os.WriteFile(made, nil, 0o600)
		select {} // until somebody kills it; its parent's death does
	case "delete":
		blurt(name, os.Getenv("SECRET"))
		_ = os.Remove(made)
	}
	return 0
}

// answer prints the outputs.
func answer(secret string) {
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"password": secret, "nested": map[string]any{"deep": []string{secret}}, "url": "https://user:" + url.QueryEscape(secret) + "@example.com/",
	})
}

// blurt prints the secret in every way that a careless program does, lines in
// pieces among them. One that is too short to be masked it keeps to itself.
func blurt(name, secret string) {
	if name == Short || secret == "" {
		return
	}
	quoted, _ := json.Marshal(secret) // of a string
	for _, text := range []string{
		secret, fmt.Sprintf("%q", secret), string(quoted), url.QueryEscape(secret), url.PathEscape(secret), "token=" + secret + ";",
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte("user:" + secret)), base64.StdEncoding.EncodeToString([]byte("xx" + secret + "tail")),
		fmt.Sprintf("%x", secret), "'" + strings.ReplaceAll(secret, "'", `'\''`) + "'",
	} {
		half := len(text) / 2
		_, _ = os.Stderr.WriteString("they say: " + text[:half])
		_, _ = os.Stderr.WriteString(text[half:] + "\n")
	}
}

// look looks at all processes from inside a command and reports what it finds.
func look(name string) {
	finder := NewFinder(Canaries(os.Getenv("SEED")))
	leaks := finder.Processes(Processes(), func(p Process, canary string) bool {
		vars := strings.Split(string(p.Environment), "\x00")
		if slices.Contains(vars, "LEAKHUNT=wfctl") {
			return true // the user gave them to wfctl this way
		}
		own := slices.IndexFunc(vars, func(v string) bool { return strings.HasPrefix(v, "NAME=") })
		return slices.Contains(vars, "LEAKHUNT=thing") && own >= 0 && strings.HasPrefix(canary, vars[own][len("NAME="):]+" (") ||
			slices.Contains(vars, "NAME=longer") && strings.HasPrefix(canary, "prefix (") || slices.Contains(vars, "NAME=prefix") && strings.HasPrefix(canary, "longer (")
	})
	f, err := os.OpenFile(os.Getenv("REPORT"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "%s looked\n", name)
	for _, leak := range leaks {
		fmt.Fprintf(f, "LEAK %s\n", leak)
	}
}

// echo is a service that gives back what it gets, and is not well.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Token", strconv.Quote(r.Header.Get("Authorization")))
	w.WriteHeader(http.StatusInternalServerError)
	fmt.Fprintf(w, `<p>no entry for %s</p> %q`, r.Header.Get("Authorization"), r.Header)
}
