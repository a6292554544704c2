package lock_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/lock"
	"github.com/gocodealone/wfctl/lock/locktest"
)

// signed is a project that trusts an authority of the test.
type signed struct {
	*bench
	authority *locktest.Authority
	dir       string
}

// newSigned makes a project whose manifest demands a signature by identity;
// verify may hold more of the item.
func newSigned(t *testing.T, source, identity string) *signed {
	t.Helper()
	s := &signed{bench: newBench(t), authority: locktest.NewAuthority(t), dir: t.TempDir()}
	if source == "" {
		source = "file://" + filepath.ToSlash(s.dir)
	}
	s.write("root.json", string(s.authority.TrustedRoot()))
	s.write(lock.ManifestFile, "plugins:\n  - name: hello\n    version: v1.0.0\n    source: "+source+
		"\n    verify: {identity: \""+identity+"\", issuer: \""+locktest.Issuer+"\", trusted_root: root.json}\n")
	return s
}

func (s *signed) lock(o lock.LockOptions) error {
	_, err := s.Lock(s.t.Context(), o)
	return err
}

func TestSigned(t *testing.T) {
	s := newSigned(t, "", locktest.Signer("v1.0.0"))
	r := locktest.New("hello", "v1.0.0").SignWith(s.authority, locktest.Signer("v1.0.0")).WriteTo(t, s.dir)
	if err := s.lock(lock.LockOptions{}); err != nil {
		t.Fatal(err)
	}
	l, err := lock.ReadLock(s.path(lock.LockFile))
	if err != nil {
		t.Fatal(err)
	}
	signer := l.Plugins["hello"].Signer
	if signer == nil || signer.Identity != locktest.Signer("v1.0.0") || signer.Bundle.SHA256 != locktest.Hash(r.Files["checksums.txt.sigstore.json"]) {
		t.Errorf("signer: %+v", signer)
	}
	s.forget()
	s.install(lock.InstallOptions{})
	// Provenance is proved again with the source gone.
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	v, err := s.Verify(t.Context())
	if err != nil || v[0].Trust != "signed" || v[0].Signer != locktest.Signer("v1.0.0") {
		t.Errorf("%+v, %v", v, err)
	}
	s.install(lock.InstallOptions{Offline: true})
	// A changed proof in the store is found.
	for _, hash := range []string{signer.Bundle.SHA256, l.Plugins["hello"].SHA256} {
		blob := filepath.Join(s.cache, "sha256", hash+".blob")
		restore := flip(t, blob, 3)
		_, err = s.Verify(t.Context())
		wantFault(t, err, fault.Integrity, blob)
		_, err = s.Install(t.Context(), lock.InstallOptions{})
		wantFault(t, err, fault.Integrity, blob)
		restore()
	}
	// So is a trust root that knows the signer no longer.
	s.write("root.json", string(locktest.NewAuthority(t).TrustedRoot()))
	_, err = s.Verify(t.Context())
	wantFault(t, err, fault.Integrity, "proves nothing")
}

func TestBadSignatures(t *testing.T) {
	list := locktest.New("hello", "v1.0.0").Files["checksums.txt"]
	id := locktest.Signer("v1.0.0")
	tests := []struct {
		name   string
		bundle func(a *locktest.Authority) []byte // nil for none
		says   string
	}{
		{"none", nil, "is not signed"},
		{"wrong identity", func(a *locktest.Authority) []byte { return a.Sign("mallory@example.com", locktest.Issuer, list) }, "signed by mallory@example.com"},
		{"wrong tag", func(a *locktest.Authority) []byte { return a.Sign(locktest.Signer("v0.9.0"), locktest.Issuer, list) }, "v0.9.0"},
		{"wrong issuer", func(a *locktest.Authority) []byte { return a.Sign(id, "https://login.example.com", list) }, "login.example.com"},
		{"of something else", func(a *locktest.Authority) []byte { return a.Sign(id, locktest.Issuer, []byte("x")) }, "proves nothing"},
		{"expired", func(a *locktest.Authority) []byte {
			return a.SignAt(id, locktest.Issuer, list, time.Now().Add(30*time.Minute))
		}, "certificate"},
		{"not a bundle", func(*locktest.Authority) []byte { return []byte("{}") }, "cannot be read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSigned(t, "", id)
			r := locktest.New("hello", "v1.0.0")
			if tt.bundle != nil {
				r.Files["checksums.txt.sigstore.json"] = tt.bundle(s.authority)
			}
			r.WriteTo(t, s.dir)
			err := s.lock(lock.LockOptions{})
			wantFault(t, err, fault.Integrity, tt.says)
			if s.read(lock.LockFile) != "" || len(s.trees()) != 0 {
				t.Error("something was written or installed")
			}
		})
	}
}

// A bundle that was changed at the source after it was locked.
func TestFlippedBundle(t *testing.T) {
	s := newSigned(t, "", locktest.Signer("v1.0.0"))
	r := locktest.New("hello", "v1.0.0").SignWith(s.authority, locktest.Signer("v1.0.0")).WriteTo(t, s.dir)
	if err := s.lock(lock.LockOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"checksums.txt.sigstore.json", "checksums.txt"} {
		for at := 0; at < len(r.Files[name]); at += 97 {
			restore := flip(t, filepath.Join(s.dir, "v1.0.0", name), at)
			s.forget()
			_, err := s.Install(t.Context(), lock.InstallOptions{})
			wantFault(t, err, fault.Integrity, name)
			if len(s.trees()) != 0 {
				t.Fatal("something was installed")
			}
			restore()
		}
	}
}

// Attestations that GitHub keeps, of each archive or of the list.
func TestAttestations(t *testing.T) {
	for _, of := range []string{"archives", "list", "too few"} {
		t.Run(of, func(t *testing.T) {
			g := locktest.NewGitHub(t)
			s := newSigned(t, g.Source(), locktest.Signer("v1.0.0"))
			r := locktest.New("hello", "v1.0.0")
			g.Publish(r)
			hashes := map[string]string{}
			for name, data := range r.Files {
				hashes[name] = locktest.Hash(data)
			}
			bundle := s.authority.Attest(locktest.Signer("v1.0.0"), locktest.Issuer, hashes)
			for name, hash := range hashes {
				if (name == "checksums.txt") == (of == "list") && (of != "too few" || name == r.Archive(locktest.Host())) {
					g.Attest(hash, s.authority.Attest("somebody@example.com", locktest.Issuer, hashes))
					g.Attest(hash, bundle)
				}
			}
			err := s.lock(lock.LockOptions{})
			if of == "too few" {
				wantFault(t, err, fault.Integrity, "is not signed, and others are")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s.forget()
			s.install(lock.InstallOptions{Platforms: []string{locktest.Host()}})
			g.Down(true)
			if _, err := s.Verify(t.Context()); err != nil {
				t.Error(err)
			}
			before := s.files()
			g.Down(false)
			if err := s.lock(lock.LockOptions{}); err != nil || s.files() != before {
				t.Errorf("locking again: %v", err)
			}
		})
	}
}

// Another signer needs a flag, whatever the manifest says.
func TestSignerChange(t *testing.T) {
	s := newSigned(t, "", locktest.Signer("v1.0.0"))
	for _, v := range []string{"v1.0.0", "v1.1.0"} {
		locktest.New("hello", v).SignWith(s.authority, locktest.Signer(v)).WriteTo(t, s.dir)
	}
	if err := s.lock(lock.LockOptions{}); err != nil {
		t.Fatal(err)
	}
	// The same workflow at another tag is the same signer, and the manifest follows.
	if _, err := s.Update(t.Context(), lock.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := s.read(lock.ManifestFile); !strings.Contains(got, locktest.Signer("v1.1.0")) || strings.Contains(got, "v1.0.0") {
		t.Errorf("the manifest is\n%s", got)
	}
	// Another workflow is not.
	const other = "https://github.com/mallory/plugins/.github/workflows/release.yml@refs/tags/v1.2.0"
	locktest.New("hello", "v1.2.0").SignWith(s.authority, other).WriteTo(t, s.dir)
	before := s.files()
	_, err := s.Update(t.Context(), lock.UpdateOptions{})
	wantFault(t, err, fault.Integrity, "mallory")
	o := lock.AddOptions{Name: "hello", Version: "v1.2.0", Identity: other, Issuer: locktest.Issuer}
	_, err = s.Add(t.Context(), o)
	wantFault(t, err, fault.Refused, "--accept-signer-change", locktest.Signer("v1.1.0"), other)
	_, err = s.Add(t.Context(), lock.AddOptions{Name: "hello", Version: "v1.2.0", Trust: lock.ChecksumOnly})
	wantFault(t, err, fault.Refused, "--accept-signer-change", "without a signature")
	if s.files() != before {
		t.Error("something was written")
	}
	o.AcceptSignerChange = true
	if _, err := s.Add(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	s.install(lock.InstallOptions{})
}

// A signature that nobody demands is checked and remembered all the same.
func TestSignatureNotDemanded(t *testing.T) {
	b := newBench(t)
	a := locktest.NewAuthority(t)
	dir := t.TempDir()
	locktest.New("hello", "v1.0.0").SignWith(a, locktest.Signer("v1.0.0")).WriteTo(t, dir)
	_, err := b.Add(t.Context(), lock.AddOptions{Name: "hello", Source: "file://" + filepath.ToSlash(dir)})
	wantFault(t, err, fault.Integrity, "trust: checksum-only", "trusted_root")
	b.add(lock.AddOptions{Name: "hello", Source: "file://" + filepath.ToSlash(dir), Trust: lock.ChecksumOnly})
	rows, err := b.List(t.Context())
	if err != nil || rows[0].Trust != lock.ChecksumOnly || rows[0].Signer != "" {
		t.Errorf("list: %+v, %v", rows, err)
	}
}
