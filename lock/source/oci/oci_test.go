package oci_test

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/gocodealone/wfctl/lock/locktest"
	"github.com/gocodealone/wfctl/lock/source"
	"github.com/gocodealone/wfctl/lock/source/oci"
)

func open(t *testing.T, address, token string) *oci.Source {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	c := source.NewClient()
	t.Cleanup(c.CloseIdleConnections)
	s, err := oci.New(address, source.Config{Client: c, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A version with build metadata: tags have no "+".
func TestBuildMetadata(t *testing.T) {
	r := locktest.NewRegistry(t)
	rel := locktest.New("hello", "v1.0.0_build.5")
	r.Push("hello", rel)
	s := open(t, r.Source("hello"), "")
	versions, err := s.Versions(t.Context())
	if err != nil || len(versions) != 1 || versions[0] != "v1.0.0+build.5" {
		t.Fatalf("%v, %v", versions, err)
	}
	found, err := s.Release(t.Context(), versions[0])
	if err != nil || len(found.Names) != len(rel.Files) {
		t.Errorf("%+v, %v", found, err)
	}
	if url := s.URL(versions[0], "a.tar.gz"); url != r.Source("hello")+":v1.0.0_build.5#a.tar.gz" {
		t.Error(url)
	}
}

// A file whose hash is known is fetched by it, even when the tag has moved.
func TestMovedTag(t *testing.T) {
	r := locktest.NewRegistry(t)
	old := locktest.New("hello", "v1.0.0")
	r.Push("hello", old)
	moved := locktest.New("hello", "v1.0.0")
	name := moved.Archive(locktest.Host())
	moved.Files[name] = []byte("another")
	r.Push("hello", moved)
	body, err := open(t, r.Source("hello"), "").Open(t.Context(), "v1.0.0", name, locktest.Hash(old.Files[name]))
	if err != nil {
		t.Fatal(err)
	}
	if data, err := source.ReadAll(body, 1<<20); err != nil || string(data) != string(old.Files[name]) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func TestToken(t *testing.T) {
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user+":"+password != "robot:pw" && user+":"+password != "wfctl:token" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	address := strings.Replace(server.URL, "http://", "oci://", 1) + "/hello"
	for token, status := range map[string]int{"": 401, "wrong": 401, "token": 404, "robot:pw": 404} {
		_, err := open(t, address, token).Release(t.Context(), "v1.0.0")
		var e *source.Error
		if !errors.As(err, &e) || e.Status != status {
			t.Errorf("%q: %v", token, err)
		}
		if strings.Contains(err.Error(), "pw") {
			t.Error("the error holds the password")
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, bad := range []string{"oci://", "oci://host", "oci://host/x:tag", "oci://host/x@sha256:" + strings.Repeat("0", 64), "oci://host/X", "docker://host/x"} {
		if _, err := oci.New(bad, source.Config{}); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}
