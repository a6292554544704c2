// Package oci reads plugins from an OCI registry: a version is a tag whose
// artifact has one layer per file, named by its title annotation, as
// `oras push HOST/REPO:v1.2.3 FILE…` makes it.
package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/gocodealone/wfctl/lock/source"
)

// Source is a repository of a registry.
type Source struct {
	repo    *remote.Repository
	address string
	config  source.Config
}

const (
	maxManifest = 4 << 20
	maxTagPages = 100
)

// New makes a source of "oci://HOST/REPOSITORY". A token is the password of
// any user, or "USER:PASSWORD"; without one, what `docker login` stored is used.
func New(address string, config source.Config) (*Source, error) {
	address = strings.TrimRight(address, "/")
	name, ok := strings.CutPrefix(address, "oci://")
	repo, err := remote.NewRepository(name)
	if !ok || err != nil || repo.Reference.Reference != "" {
		return nil, errors.New("a repository of a registry is oci://HOST/REPOSITORY, without tag")
	}
	client := &auth.Client{Client: config.Client, Cache: auth.NewCache(), Credential: credential(config)}
	client.SetUserAgent("wfctl")
	if repo.PlainHTTP = source.Loopback(repo.Reference.Registry); repo.PlainHTTP {
		client.BlockedRealmPrefixes = []netip.Prefix{}
	}
	repo.Client, repo.TagListMaxPages = client, maxTagPages
	return &Source{repo, address, config}, nil
}

func credential(config source.Config) auth.CredentialFunc {
	return func(ctx context.Context, host string) (auth.Credential, error) {
		if config.Token != "" {
			user, password, ok := strings.Cut(config.Token, ":")
			if !ok {
				user, password = "wfctl", config.Token
			}
			return auth.Credential{Username: user, Password: password}, nil
		}
		store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
		if err != nil {
			return auth.EmptyCredential, nil // no readable Docker configuration: as anybody
		}
		return credentials.Credential(store)(ctx, host)
	}
}

// fail gives an error of the registry the form that the other places use.
func (s *Source) fail(doing string, err error) error {
	e := &source.Error{Doing: doing + " " + s.address, Err: err}
	var answer *errcode.ErrorResponse
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		e.Status = http.StatusNotFound
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		e.Status = http.StatusUnauthorized
	case errors.As(err, &answer):
		e.Status = answer.StatusCode
	}
	switch {
	case e.Status == 0:
		e.Hint = "is the address right, and can this machine reach it? what is in the store already needs no network: --offline"
	case e.Status < 500 && s.config.Token == "" && s.config.TokenEnv == "":
		e.Hint = "if this is private, run `docker login`, or give the plugin `auth: {env: NAME}` in wfctl.yaml"
	case e.Status < 500 && s.config.Token == "":
		e.Hint = fmt.Sprintf("if this is private, set %s, which the plugin's `auth` names", s.config.TokenEnv)
	}
	return e
}

// Versions implements source.Source.
func (s *Source) Versions(ctx context.Context) ([]string, error) {
	var versions []string
	err := s.repo.Tags(ctx, "", func(tags []string) error {
		for _, t := range tags {
			versions = append(versions, strings.ReplaceAll(t, "_", "+"))
		}
		return nil
	})
	if err != nil {
		return nil, s.fail("list the tags of", err)
	}
	return versions, nil
}

// tag is a version as a tag: those have no "+".
func tag(version string) string { return strings.ReplaceAll(version, "+", "_") }

func (s *Source) layers(ctx context.Context, version string) ([]ocispec.Descriptor, error) {
	doing := "find version " + version + " in"
	desc, body, err := s.repo.FetchReference(ctx, tag(version))
	if err != nil {
		return nil, s.fail(doing, err)
	}
	defer func() { _ = body.Close() }()
	if desc.Size > maxManifest {
		return nil, s.fail(doing, fmt.Errorf("the manifest has %d bytes", desc.Size))
	}
	data, err := content.ReadAll(body, desc)
	if err != nil {
		return nil, s.fail(doing, err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, s.fail(doing, err)
	}
	return m.Layers, nil
}

// Release implements source.Source.
func (s *Source) Release(ctx context.Context, version string) (*source.Release, error) {
	layers, err := s.layers(ctx, version)
	if err != nil {
		return nil, err
	}
	r := &source.Release{Version: version, Listed: true}
	for _, l := range layers {
		if name := l.Annotations[ocispec.AnnotationTitle]; name != "" {
			r.Names = append(r.Names, name)
		}
	}
	return r, nil
}

// Open implements source.Source. A file whose hash is known is fetched by it,
// whatever the tag points to by now.
func (s *Source) Open(ctx context.Context, version, name, sha256 string) (io.ReadCloser, error) {
	if sha256 != "" {
		_, body, err := s.repo.Blobs().FetchReference(ctx, digest.NewDigestFromEncoded(digest.SHA256, sha256).String())
		if err != nil {
			return nil, s.fail("fetch "+name+" from", err)
		}
		return body, nil
	}
	layers, err := s.layers(ctx, version)
	if err != nil {
		return nil, err
	}
	for _, l := range layers {
		if l.Annotations[ocispec.AnnotationTitle] == name {
			body, err := s.repo.Fetch(ctx, l)
			if err != nil {
				return nil, s.fail("fetch "+name+" from", err)
			}
			return body, nil
		}
	}
	return nil, source.NotFound("version %s in %s has no file %s", version, s.address, name)
}

// URL implements source.Source.
func (s *Source) URL(version, name string) string { return s.address + ":" + tag(version) + "#" + name }
