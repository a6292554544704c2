//go:build services

package shipping_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/internal/sigstoretest"
)

// A signed image is proved in every registry that it went to: Debian's, which
// know nothing of referrers, and DigitalOcean's.
func TestSignedEverywhere(t *testing.T) {
	sigstore := sigstoretest.Start(t)
	s := newSite(t, true)
	app, err := os.ReadFile(filepath.Join(s.dir, "app.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("app.yaml", strings.Replace(string(app), "web: {builder: go,", `web: {builder: go, sbom: true, provenance: true, sign: {fulcio: "${FULCIO}", timestamp: "${TSA}"},`, 1))
	s.write("root.json", string(sigstore.TrustedRoot))
	s.env = append(s.env, "FULCIO="+sigstore.Fulcio, "TSA="+sigstore.Timestamp)
	for name, value := range sigstore.Issuer.Job() {
		s.env = append(s.env, name+"="+value)
	}
	refs := s.refs(s.wfctl("build", "--push", "--env", "staging", "--json"))
	if len(refs) != 3 {
		t.Fatalf("pushed to %v", refs)
	}
	who := []string{"--issuer", sigstore.Issuer.URL, "--trusted-root", "root.json", "--env", "staging", "--identity"}
	for registry, ref := range refs {
		said := s.wfctl(append(append([]string{"build", "verify", ref}, who...), sigstoretest.Identity(sigstoretest.Workflow))...)
		for _, want := range []string{"Image: signed by https://github.com/acme/shop/", "Provenance: signed by", "linux/amd64, linux/arm64"} {
			if !strings.Contains(said, want) {
				t.Errorf("%s: no %q in %s", registry, want, said)
			}
		}
		out, err := s.command(append(append([]string{"build", "verify", ref}, who...), "https://github.com/mallory/shop")...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "is not signed by who it should be") {
			t.Errorf("%s: mallory: %v\n%s", registry, err, out)
		}
	}
	s.noSecrets()
}
