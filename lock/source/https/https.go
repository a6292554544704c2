// Package https reads plugins from a folder that a web server serves, with one
// sub-folder per version. The versions are found where the server shows an
// index of the folder; a version that is named needs no index.
package https

import (
	"context"
	"errors"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/lock/source"
)

// Source is a folder at a URL.
type Source struct {
	base   *url.URL
	config source.Config
}

// New makes a source of an https URL; plain http is for this machine alone.
func New(address string, config source.Config) (*Source, error) {
	u, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("a folder on a web server is https://HOST/DIR")
	}
	if u.User != nil {
		return nil, errors.New("a URL holds no password: use `auth: {env: NAME}`")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !source.Loopback(u.Host)) {
		return nil, errors.New("plain http is for this machine alone; use https")
	}
	return &Source{u, config}, nil
}

// maxIndex bounds an index page, in bytes.
const maxIndex = 4 << 20

// link is a link to a folder called as a version.
const link = `(?i)href\s*=\s*["']?(?:\./)?(v[0-9][^"'/<>\s?#]*)/?["'>\s]`

// Versions implements source.Source.
func (s *Source) Versions(ctx context.Context) ([]string, error) {
	res, err := s.config.Get(ctx, s.base.String()+"/", nil)
	if err != nil {
		return nil, err
	}
	page, err := source.ReadAll(res.Body, maxIndex)
	if err != nil {
		return nil, &source.Error{Doing: "read the index of " + s.base.Redacted(), Err: err}
	}
	var versions []string
	for _, m := range regexp.MustCompile(link).FindAllStringSubmatch(string(page), -1) {
		if v, err := url.PathUnescape(m[1]); err == nil && !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	if len(versions) == 0 {
		return nil, &source.Error{
			Doing: s.base.Redacted() + " does not list its versions", Status: res.StatusCode, Hint: "name a version: NAME@VERSION",
		}
	}
	return versions, nil
}

// Release implements source.Source; what is in the folder cannot be told.
func (s *Source) Release(_ context.Context, version string) (*source.Release, error) {
	return &source.Release{Version: version}, nil
}

// Open implements source.Source.
func (s *Source) Open(ctx context.Context, version, name, _ string) (io.ReadCloser, error) {
	res, err := s.config.Get(ctx, s.URL(version, name), nil)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// URL implements source.Source.
func (s *Source) URL(version, name string) string { return s.base.JoinPath(version, name).String() }
