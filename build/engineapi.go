package build

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gocodealone/wfctl/fault"
)

// engineAPI is a Docker engine that is asked without the docker program.
type engineAPI struct {
	http *http.Client
	base string
}

// openEngine finds the engine of DOCKER_HOST, else of this machine.
func openEngine() (*engineAPI, error) {
	host := orDefault(os.Getenv("DOCKER_HOST"), "unix:///var/run/docker.sock")
	u, err := url.Parse(host)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "unix":
		if _, err := os.Stat(u.Path); err != nil {
			return nil, err
		}
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", u.Path)
		}
		return &engineAPI{&http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}, "http://docker"}, nil
	case "tcp", "http":
		return &engineAPI{&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://" + u.Host}, nil
	}
	return nil, fmt.Errorf("the engine at %s can only be reached through the docker program", host)
}

func (e *engineAPI) call(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, e.base+path+"?"+query.Encode(), body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-tar")
	}
	res, err := e.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 300 {
		raw, _ := io.ReadAll(io.LimitReader(res.Body, 4096)) // a part says enough
		return nil, errors.Join(fmt.Errorf("the Docker engine answers %d %s", res.StatusCode, strings.TrimSpace(string(raw))), res.Body.Close())
	}
	return res, nil
}

// build has the engine's BuildKit build, and fetches the image as a tar.
func (e *engineAPI) build(ctx context.Context, b *dockerfileBuild, file string, progress Progress) error {
	files, err := b.files()
	if err != nil {
		return err
	}
	args := map[string]string{"SOURCE_DATE_EPOCH": "0"}
	for k, v := range b.Args {
		args[k] = v
	}
	query := url.Values{"version": {"2"}, "dockerfile": {dockerfileInTar}, "buildargs": {jsonText(args)}, "labels": {jsonText(b.Labels)}, "platform": {strings.Join(b.Platforms, "")}, "target": {b.Target}}
	if b.NoCache {
		query.Set("nocache", "1")
	}
	if b.Network != "" {
		query.Set("networkmode", b.Network)
	}
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(b.send(w, files)) }()
	res, err := e.call(ctx, http.MethodPost, "/build", query, r)
	_ = r.Close()
	if err != nil {
		return e.failed(ctx, b, err)
	}
	id, err := e.follow(ctx, b, res.Body, progress)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	return e.fetch(ctx, b, id, file)
}

func jsonText(m map[string]string) string {
	raw, err := json.Marshal(m)
	if err != nil || m == nil {
		return "{}"
	}
	return string(raw)
}

func (e *engineAPI) failed(ctx context.Context, b *dockerfileBuild, err error) error {
	var f *fault.Error
	switch {
	case ctx.Err() != nil:
		return fault.Wrap(fault.Interrupted, ctx.Err(), "build image %q", b.Name)
	case errors.As(err, &f):
		return err
	}
	return fault.Wrap(fault.Environment, err, "image %q: ask the Docker engine", b.Name)
}

// dockerfileInTar is what the Dockerfile is called in what is sent: it may lie
// outside of what .dockerignore leaves.
const dockerfileInTar = ".wfctl.Dockerfile"

// send writes the context as a tar.
func (b *dockerfileBuild) send(out io.Writer, files []string) error {
	w := tar.NewWriter(out)
	if err := addFile(w, dockerfileInTar, b.file); err != nil {
		return err
	}
	for _, file := range files {
		rel, err := filepath.Rel(b.context, file)
		if err != nil {
			return err
		}
		if err := addFile(w, filepath.ToSlash(rel), file); err != nil {
			return err
		}
	}
	return w.Close()
}

func addFile(w *tar.Writer, name, file string) error {
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	link, _ := os.Readlink(file) // "" for what is no link
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name, h.Uid, h.Gid, h.Uname, h.Gname = name, 0, 0, "", ""
	if err := w.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return errors.Join(err, f.Close())
}

// follow reads what the engine tells of a build, and returns the image's ID.
func (e *engineAPI) follow(ctx context.Context, b *dockerfileBuild, body io.Reader, progress Progress) (id string, err error) {
	var lines []string
	for dec := json.NewDecoder(body); ; {
		var m struct {
			ID    string          `json:"id"`
			Aux   json.RawMessage `json:"aux"`
			Error string          `json:"error"`
		}
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", e.failed(ctx, b, err)
		}
		switch {
		case m.Error != "":
			return "", failedBuild(b, m.Error, lines)
		case m.ID == "moby.image.id":
			var image struct{ ID string }
			if json.Unmarshal(m.Aux, &image) == nil {
				id = image.ID
			}
		case m.ID == "moby.buildkit.trace":
			var raw []byte
			if json.Unmarshal(m.Aux, &raw) == nil {
				names, said := readTrace(raw)
				for _, name := range names {
					progress(name, -1)
				}
				lines = append(lines, said...)
			}
		}
	}
	if id == "" {
		return "", failedBuild(b, "the Docker engine does not say what it built", lines)
	}
	return id, nil
}

// readTrace reads the names of steps and the lines of output of a status of
// BuildKit: message StatusResponse, vertexes in field 1 (their name in 3), logs
// in field 3 (their text in 4).
func readTrace(raw []byte) (names, lines []string) {
	for field, content := range fields(raw) {
		for inner, text := range fields(content) {
			switch {
			case field == 1 && inner == 3:
				names = append(names, string(text))
			case field == 3 && inner == 4:
				for line := range strings.Lines(string(text)) {
					lines = append(lines, strings.TrimRight(line, "\r\n"))
				}
			}
		}
	}
	return names, lines
}

// fields yields the fields of a message that hold bytes.
func fields(raw []byte) func(func(protowire.Number, []byte) bool) {
	return func(yield func(protowire.Number, []byte) bool) {
		for len(raw) > 0 {
			number, kind, n := protowire.ConsumeTag(raw)
			if n < 0 {
				return
			}
			raw = raw[n:]
			if kind != protowire.BytesType {
				if n = protowire.ConsumeFieldValue(number, kind, raw); n < 0 {
					return
				}
				raw = raw[n:]
				continue
			}
			content, n := protowire.ConsumeBytes(raw)
			if n < 0 || !yield(number, content) {
				return
			}
			raw = raw[n:]
		}
	}
}

// fetch saves the image as a tar and has the engine forget it.
func (e *engineAPI) fetch(ctx context.Context, b *dockerfileBuild, id, file string) error {
	res, err := e.call(ctx, http.MethodGet, "/images/"+id+"/get", nil, nil)
	if err != nil {
		return e.failed(ctx, b, err)
	}
	f, err := os.Create(file)
	if err == nil {
		_, err = io.Copy(f, res.Body)
		err = errors.Join(err, f.Close())
	}
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return e.failed(ctx, b, err)
	}
	if res, err := e.call(ctx, http.MethodDelete, "/images/"+id, nil, nil); err == nil {
		_ = res.Body.Close() // it has no name there; the cache stays
	}
	return nil
}
