// Package github reads plugins from the releases of a GitHub repository, on
// github.com or on an Enterprise server, and attestations from its API.
package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/klauspost/compress/snappy"

	"github.com/gocodealone/wfctl/lock/source"
)

// Source is a repository.
type Source struct {
	web, api    *url.URL
	owner, repo string
	config      source.Config
}

const (
	apiVersion = "2022-11-28"
	// maxAnswer bounds an answer of the API, in bytes.
	maxAnswer = 32 << 20
	// maxPages of 100 releases each are looked through.
	maxPages = 10
)

// New makes a source of "github.com/OWNER/REPO", or of
// "github+https://HOST/OWNER/REPO" for an Enterprise server.
func New(address string, config source.Config) (*Source, error) {
	enterprise := strings.HasPrefix(address, "github+")
	address = strings.TrimSuffix(strings.TrimRight(strings.TrimPrefix(address, "github+"), "/"), ".git")
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("a repository is github.com/OWNER/REPO")
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) != 2 || parts[0] == "" || parts[1] == "" || u.RawQuery != "" || u.User != nil {
		return nil, errors.New("a repository is github.com/OWNER/REPO")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !source.Loopback(u.Host)) {
		return nil, errors.New("plain http is for this machine alone; use https")
	}
	s := &Source{owner: parts[0], repo: parts[1], config: config, web: &url.URL{Scheme: u.Scheme, Host: u.Host}}
	s.api = s.web.JoinPath("api", "v3")
	if !enterprise {
		s.api = &url.URL{Scheme: "https", Host: "api.github.com"}
	}
	return s, nil
}

type release struct {
	TagName    string  `json:"tag_name"`
	Draft      bool    `json:"draft"`
	Prerelease bool    `json:"prerelease"`
	Assets     []asset `json:"assets"`
}

type asset struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// get asks the API.
func (s *Source) get(ctx context.Context, into any, path ...string) error {
	return s.getURL(ctx, into, s.endpoint(path...))
}

func (s *Source) endpoint(path ...string) *url.URL {
	return s.api.JoinPath(append([]string{"repos", s.owner, s.repo}, path...)...)
}

func (s *Source) getURL(ctx context.Context, into any, u *url.URL) error {
	res, err := s.config.Get(ctx, u.String(), header("application/vnd.github+json"))
	if err != nil {
		return err
	}
	data, err := source.ReadAll(res.Body, maxAnswer)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return &source.Error{Doing: "read the answer of " + u.String(), Err: err}
	}
	return nil
}

func header(accept string) http.Header {
	return http.Header{"Accept": {accept}, "X-Github-Api-Version": {apiVersion}}
}

// Versions implements source.Source.
func (s *Source) Versions(ctx context.Context) ([]string, error) {
	var versions []string
	for page := 1; page <= maxPages; page++ {
		u := s.endpoint("releases")
		u.RawQuery = fmt.Sprintf("per_page=100&page=%d", page)
		var list []release
		if err := s.getURL(ctx, &list, u); err != nil {
			return nil, err
		}
		for _, r := range list {
			// What is marked as a prerelease but numbered as a release would be
			// taken for the newest one.
			if !r.Draft && (!r.Prerelease || strings.Contains(r.TagName, "-")) {
				versions = append(versions, r.TagName)
			}
		}
		if len(list) < 100 {
			break
		}
	}
	return versions, nil
}

func (s *Source) release(ctx context.Context, version string) (*release, error) {
	var r release
	err := s.get(ctx, &r, "releases", "tags", version)
	var e *source.Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		return nil, &source.Error{Doing: fmt.Sprintf("%s/%s has no release %s", s.owner, s.repo, version), Status: e.Status, Hint: e.Hint}
	}
	return &r, err
}

// Release implements source.Source.
func (s *Source) Release(ctx context.Context, version string) (*source.Release, error) {
	r, err := s.release(ctx, version)
	if err != nil {
		return nil, err
	}
	found := &source.Release{Version: version, Listed: true}
	for _, a := range r.Assets {
		found.Names = append(found.Names, a.Name)
	}
	return found, nil
}

// Open implements source.Source. Without a token it uses the address that
// browsers use, which has no limit of requests.
func (s *Source) Open(ctx context.Context, version, name, _ string) (io.ReadCloser, error) {
	if s.config.Token == "" {
		res, err := s.config.Get(ctx, s.URL(version, name), nil)
		if err != nil {
			return nil, err
		}
		return res.Body, nil
	}
	r, err := s.release(ctx, version)
	if err != nil {
		return nil, err
	}
	for _, a := range r.Assets {
		if a.Name == name {
			return s.asset(ctx, a)
		}
	}
	return nil, source.NotFound("release %s of %s/%s has no file %s", version, s.owner, s.repo, name)
}

// asset downloads through the API, as private repositories need it. The token
// goes to no other host than the API's, whatever the answer said.
func (s *Source) asset(ctx context.Context, a asset) (io.ReadCloser, error) {
	u, err := url.Parse(a.URL)
	if err != nil || u.Host != s.api.Host || u.Scheme != s.api.Scheme {
		return nil, &source.Error{Doing: "fetch " + a.Name, Err: fmt.Errorf("its address %q is not of %s", a.URL, s.api.Host)}
	}
	res, err := s.config.Get(ctx, a.URL, header("application/octet-stream"))
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// URL implements source.Source.
func (s *Source) URL(version, name string) string {
	return s.web.JoinPath(s.owner, s.repo, "releases", "download", version, name).String()
}

// Attestations implements source.Attester.
func (s *Source) Attestations(ctx context.Context, sha256 string) ([][]byte, error) {
	var answer struct {
		Attestations []struct {
			Bundle    json.RawMessage `json:"bundle"`
			BundleURL string          `json:"bundle_url"`
		} `json:"attestations"`
	}
	err := s.get(ctx, &answer, "attestations", "sha256:"+sha256)
	if errors.Is(err, source.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var bundles [][]byte
	for _, a := range answer.Attestations {
		b := []byte(a.Bundle)
		if len(b) == 0 || string(b) == "null" {
			if b, err = s.stored(ctx, a.BundleURL); err != nil {
				return nil, err
			}
		}
		bundles = append(bundles, b)
	}
	return bundles, nil
}

// stored fetches a bundle that the API only points to: compressed, at an
// address that is signed and takes no token.
func (s *Source) stored(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && (u.Scheme != "http" || !source.Loopback(u.Host)) {
		return nil, &source.Error{Doing: "fetch an attestation", Err: fmt.Errorf("%q is not an https address", address)}
	}
	res, err := source.Config{Client: s.config.Client}.Get(ctx, address, nil)
	if err != nil {
		return nil, err
	}
	data, err := source.ReadAll(res.Body, maxAnswer)
	if err == nil && !json.Valid(data) {
		if n, lenErr := snappy.DecodedLen(data); lenErr != nil || n > maxAnswer {
			return nil, &source.Error{Doing: "fetch an attestation", Err: errors.New("it is neither JSON nor snappy")}
		}
		data, err = snappy.Decode(nil, data)
	}
	if err != nil {
		return nil, &source.Error{Doing: "fetch an attestation", Err: err}
	}
	return data, nil
}
