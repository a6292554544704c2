package attest_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gocodealone/wfctl/build"
	"github.com/gocodealone/wfctl/build/attest"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock/locktest"
	"github.com/gocodealone/wfctl/sigstore"
)

// shop is an image of a real Go program for two platforms, built once.
func shop(t testing.TB) build.Image {
	t.Helper()
	built.Do(func() { buildShop(t) })
	if theShop.Digest == "" {
		t.Fatal("the image was not built")
	}
	return theShop
}

var (
	built   sync.Once
	theShop build.Image
	scratch string
)

func TestMain(m *testing.M) {
	scratch = must(os.MkdirTemp("", "wfctl-attest-"))
	code := m.Run()
	_ = os.RemoveAll(scratch)
	os.Exit(code)
}

func buildShop(t testing.TB) {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"go.mod":       "module example.com/acme/shop\n\ngo 1.26\n\nrequire example.com/acme/lib v0.0.0\n\nreplace example.com/acme/lib => ./lib\n",
		"main.go":      "package main\n\nimport \"example.com/acme/lib\"\n\nfunc main() { println(lib.Name) }\n",
		"lib/go.mod":   "module example.com/acme/lib\n\ngo 1.26\n",
		"lib/lib.go":   "package lib\n\nconst Name = \"shop\"\n",
		"data/note.md": "a note",
	}
	for file, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	img, err := build.Make(t.Context(), build.Go{}, build.NewStore(scratch), build.Spec{
		Name: "shop", BaseDir: dir, Options: []byte(`{"platforms": ["linux/amd64", "linux/arm64"], "files": {"/data": "data"}}`),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	theShop = img
}

func facts() attest.Facts {
	return attest.Facts{
		Image: "shop", Builder: "go", Parameters: []byte(`{"package":"."}`), Fingerprint: "sha256:" + strings.Repeat("ab", 32), Version: "v1.2.3",
		Origin: attest.Origin{URI: "git+https://github.com/acme/shop", Commit: strings.Repeat("0a", 20), Ref: "refs/tags/v1.0.0"},
	}
}

// push puts an image and what is said of it into a registry.
func push(t testing.TB, img build.Image, repository string, referrers []attest.Referrer) name.Reference {
	t.Helper()
	repo, err := name.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	path, err := layout.FromPath(img.Path)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := v1.NewHash(img.Digest)
	if err != nil {
		t.Fatal(err)
	}
	root, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	index, err := root.ImageIndex(hash)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(repo.Tag("latest"), index); err != nil {
		t.Fatal(err)
	}
	for _, r := range referrers {
		attach(t, repo, r.Image)
	}
	return repo.Tag("latest")
}

func attach(t testing.TB, repo name.Repository, img v1.Image) {
	t.Helper()
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repo.Digest(digest.String()), img); err != nil {
		t.Fatal(err)
	}
}

// registries are one with the API for referrers and one without.
func registries(t testing.TB) map[string]string {
	t.Helper()
	quiet := registry.Logger(log.New(&bytes.Buffer{}, "", 0))
	hosts := map[string]string{}
	for kind, has := range map[string]bool{"with the API": true, "without": false} {
		server := httptest.NewServer(registry.New(quiet, registry.WithReferrersSupport(has)))
		t.Cleanup(server.Close)
		hosts[kind] = strings.TrimPrefix(server.URL, "http://")
	}
	return hosts
}

func keySigner(t testing.TB) *sigstore.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sigstore.WithKey(sigstore.Services{}, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keyProver(t testing.TB, s *sigstore.Signer) *sigstore.KeyVerifier {
	t.Helper()
	v, err := sigstore.NewKeyVerifier([]byte(s.PublicKey()))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func made(t testing.TB, img build.Image, o attest.Options) []attest.Referrer {
	t.Helper()
	o.Facts = facts()
	list, err := attest.Make(t.Context(), img, o)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A signed image is proved in a registry with the API for referrers and in
// one without, and its bills of materials and provenance with it.
func TestSignPushVerify(t *testing.T) {
	img, signer := shop(t), keySigner(t)
	all := made(t, img, attest.Options{SBOM: true, Provenance: true, Signer: signer})
	if len(all) != 10 { // two bills, each signed as well; provenance and signature of the image and of its two platforms
		t.Fatalf("%d artifacts", len(all))
	}
	for kind, host := range registries(t) {
		ref := push(t, img, host+"/acme/shop", all)
		report, err := attest.Verify(t.Context(), ref, keyProver(t, signer), attest.Policy{})
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if report.Digest != img.Digest || len(report.Statements) != 2 || strings.Join(report.SBOMs, " ") != "linux/amd64 linux/arm64" ||
			report.Provenance == nil || report.Provenance.Commit != facts().Origin.Commit || report.Provenance.Source != facts().Origin.URI {
			t.Errorf("%s: %+v %+v", kind, report, report.Provenance)
		}
		one, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "arm64"}))
		if err != nil {
			t.Fatal(err)
		}
		digest, err := one.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if report, err := attest.Verify(t.Context(), ref.Context().Digest(digest.String()), keyProver(t, signer), attest.Policy{}); err != nil || len(report.Statements) != 2 || len(report.SBOMs) != 1 {
			t.Errorf("%s: by the digest of a platform: %+v, %v", kind, report, err)
		}
		if _, err := attest.Verify(t.Context(), ref, keyProver(t, keySigner(t)), attest.Policy{}); fault.CodeOf(err) != fault.Integrity {
			t.Errorf("%s: another key: %v", kind, err)
		}
	}
}

// What is not signed is refused, and so is what was changed after it was
// signed, even where the signature of the original is put beside it.
func TestUnsignedAndTampered(t *testing.T) {
	img, signer := shop(t), keySigner(t)
	all := made(t, img, attest.Options{Signer: signer})
	for kind, host := range registries(t) {
		unsigned := push(t, img, host+"/acme/unsigned", made(t, img, attest.Options{SBOM: true, Provenance: true}))
		_, err := attest.Verify(t.Context(), unsigned, keyProver(t, signer), attest.Policy{})
		if fault.CodeOf(err) != fault.Integrity || !strings.Contains(err.Error(), "is not signed") {
			t.Errorf("%s: unsigned: %v", kind, err)
		}
		ref := push(t, img, host+"/acme/shop", all)
		got, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"}))
		if err != nil {
			t.Fatal(err)
		}
		changed := mutate.Annotations(got, map[string]string{"changed": "yes"}).(v1.Image)
		if err := remote.Write(ref.(name.Tag), changed); err != nil {
			t.Fatal(err)
		}
		desc, err := remote.Get(ref)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all { // the same bundles, said to be about the changed image
			attach(t, ref.Context(), about(t, r.Image, desc.Descriptor))
		}
		_, err = attest.Verify(t.Context(), ref, keyProver(t, signer), attest.Policy{})
		if fault.CodeOf(err) != fault.Integrity || !strings.Contains(err.Error(), "not signed by who it should be") {
			t.Errorf("%s: tampered: %v", kind, err)
		}
	}
}

func about(t testing.TB, img v1.Image, subject v1.Descriptor) v1.Image {
	t.Helper()
	return mutate.Subject(img, v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest}).(v1.Image)
}

func TestPolicy(t *testing.T) {
	authority := locktest.NewAuthority(t)
	signer := authoritySigner{authority, locktest.Signer("v1.0.0")}
	img := shop(t)
	host := registries(t)["with the API"]
	ref := push(t, img, host+"/acme/shop", made(t, img, attest.Options{Provenance: true, Signer: signer}))
	prover, err := sigstore.NewVerifier(authority.TrustedRoot())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		policy  attest.Policy
		problem string
	}{
		{"right", attest.Policy{Identity: signer.identity, Issuer: locktest.Issuer}, ""},
		{"pattern", attest.Policy{Pattern: regexp.MustCompile(`https://github\.com/acme/plugins/.*@refs/tags/v.*`), Issuer: locktest.Issuer}, ""},
		{"identity", attest.Policy{Identity: "https://github.com/mallory", Issuer: locktest.Issuer}, "it is signed by " + signer.identity},
		{"issuer", attest.Policy{Identity: signer.identity, Issuer: "https://accounts.example.com"}, "accounts.example.com"},
		{"part of a pattern", attest.Policy{Pattern: regexp.MustCompile(`github\.com/acme`), Issuer: locktest.Issuer}, "does not match"},
	}
	for _, tt := range tests {
		_, err := attest.Verify(t.Context(), ref, prover, tt.policy)
		if tt.problem == "" && err != nil || tt.problem != "" && (fault.CodeOf(err) != fault.Integrity || !strings.Contains(err.Error(), tt.problem)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// authoritySigner signs with an authority of this process.
type authoritySigner struct {
	a        *locktest.Authority
	identity string
}

// Sign implements attest.Signer.
func (s authoritySigner) Sign(_ context.Context, _ string, payload []byte) ([]byte, error) {
	return s.a.AttestStatement(s.identity, locktest.Issuer, payload), nil
}

// The bill of materials names the modules that are in the program, and says
// the same when it is made again.
func TestSBOM(t *testing.T) {
	img := shop(t)
	first, second := made(t, img, attest.Options{SBOM: true}), made(t, img, attest.Options{SBOM: true})
	if len(first) != 2 {
		t.Fatalf("%d artifacts", len(first))
	}
	a, _ := first[0].Image.Digest()
	b, _ := second[0].Image.Digest()
	if a != b {
		t.Errorf("%s and then %s", a, b)
	}
	m, err := first[0].Image.Manifest()
	if err != nil || m.ArtifactType != attest.TypeSBOM || m.Subject == nil {
		t.Fatalf("%+v, %v", m, err)
	}
	bom := decode(t, first[0].Image)
	var purls []string
	for _, c := range *bom.Components {
		purls = append(purls, c.PackageURL)
	}
	text := strings.Join(purls, "\n")
	for _, want := range []string{"pkg:golang/example.com/acme/shop?type=module", "pkg:golang/example.com/acme/lib?type=module", "pkg:golang/std@1."} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %s: %s", want, text)
		}
	}
	if bom.Metadata.Component.Name != "shop" || bom.Metadata.Component.Version != m.Subject.Digest.String() || strings.Contains(text, "./lib") {
		t.Errorf("%+v", bom.Metadata.Component)
	}
}

func decode(t testing.TB, img v1.Image) *cyclonedx.BOM {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close() //nolint:errcheck // in memory
	bom := &cyclonedx.BOM{}
	if err := cyclonedx.NewBOMDecoder(content, cyclonedx.BOMFileFormatJSON).Decode(bom); err != nil {
		t.Fatal(err)
	}
	return bom
}

func TestProgramSBOM(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "program") // a test's own binary does not tell what is in it
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", exe, "../../internal/revealcheck/cmd/revealcheck").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p, err := attest.ProgramFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := attest.ProgramSBOM(p)
	if err != nil || !bytes.Contains(raw, []byte("pkg:golang/golang.org/x/tools@v0.")) || !bytes.Contains(raw, []byte(`"specVersion": "1.6"`)) {
		t.Errorf("%v: %s", err, raw)
	}
	if _, err := attest.ProgramFile("attest_test.go"); err == nil {
		t.Error("a text is a program")
	}
}

// What a later layer replaces or removes is not in the image.
func TestProgramsOfLayers(t *testing.T) {
	exe, err := os.ReadFile(must(os.Executable()))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		layers []map[string]string // path to content; "" makes a mark
		want   string
	}{
		{"one", []map[string]string{{"bin/a": "program"}}, "/bin/a"},
		{"replaced by text", []map[string]string{{"bin/a": "program"}, {"bin/a": "#!/bin/sh\n"}}, ""},
		{"removed", []map[string]string{{"bin/a": "program", "bin/b": "program"}, {"bin/.wh.a": ""}}, "/bin/b"},
		{"folder removed", []map[string]string{{"bin/a": "program"}, {".wh.bin": ""}}, ""},
		{"folder emptied and filled", []map[string]string{{"bin/a": "program"}, {"bin/.wh..wh..opq": "", "bin/b": "program"}}, "/bin/b"},
		{"broken", []map[string]string{{"bin/a": "\x7fELFnothing"}}, ""},
	}
	for _, tt := range tests {
		img := layered(t, tt.layers, exe)
		programs, err := attest.Programs(t.Context(), img)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range programs {
			got = append(got, p.Path)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func must(s string, err error) string {
	if err != nil {
		panic(err)
	}
	return s
}

func TestProvenance(t *testing.T) {
	img := shop(t)
	list := made(t, img, attest.Options{Provenance: true})
	layers, err := list[0].Image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close() //nolint:errcheck // in memory
	var st attest.Statement
	if err := json.NewDecoder(content).Decode(&st); err != nil {
		t.Fatal(err)
	}
	if len(st.Subject) != 3 || "sha256:"+st.Subject[0].Digest["sha256"] != img.Digest {
		t.Errorf("%+v", st.Subject)
	}
	mt, err := list[0].Image.MediaType()
	if err != nil || mt != types.OCIManifestSchema1 {
		t.Errorf("%s, %v", mt, err)
	}
}
