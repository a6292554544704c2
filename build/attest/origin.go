package attest

import (
	"bytes"
	"context"
	"net/url"
	"os/exec"
	"strings"

	"github.com/gocodealone/wfctl/internal/lazyregexp"
)

// Origin is where an image's source came from, and where it was built. What
// is not known is "".
type Origin struct {
	// URI is the repository: git+https://github.com/acme/shop.
	URI string
	// Commit is the hash of the commit; Dirty tells that files differ from it.
	Commit string
	Dirty  bool
	// Ref is the branch or tag: refs/heads/main.
	Ref string
	// Builder is who ran the build, as a URI; Invocation is the run.
	Builder    string
	Invocation string
}

// FindOrigin asks git about a folder, and the variables of GitHub Actions
// about the run. A folder outside git has none.
func FindOrigin(ctx context.Context, dir string, getenv func(string) string) Origin {
	o := gitOrigin(ctx, dir)
	if getenv("GITHUB_ACTIONS") != "true" {
		return o
	}
	server, repository := getenv("GITHUB_SERVER_URL"), getenv("GITHUB_REPOSITORY")
	if server != "" && repository != "" {
		o.URI = "git+" + server + "/" + repository
		if id := getenv("GITHUB_RUN_ID"); id != "" {
			o.Invocation = server + "/" + repository + "/actions/runs/" + id + "/attempts/" + getenv("GITHUB_RUN_ATTEMPT")
		}
		if workflow := getenv("GITHUB_WORKFLOW_REF"); workflow != "" {
			o.Builder = server + "/" + workflow
		}
	}
	if sha := getenv("GITHUB_SHA"); sha != "" && o.Commit == "" {
		o.Commit = sha
	}
	if ref := getenv("GITHUB_REF"); ref != "" {
		o.Ref = ref
	}
	return o
}

func gitOrigin(ctx context.Context, dir string) Origin {
	var o Origin
	var ok bool
	if o.Commit, ok = git(ctx, dir, "rev-parse", "HEAD"); !ok {
		return Origin{}
	}
	status, ok := git(ctx, dir, "status", "--porcelain", "--untracked-files=no")
	o.Dirty = !ok || status != ""
	if remote, ok := git(ctx, dir, "remote", "get-url", "origin"); ok {
		o.URI = repositoryURI(remote)
	}
	if ref, ok := git(ctx, dir, "symbolic-ref", "HEAD"); ok {
		o.Ref = ref
	}
	return o
}

func git(ctx context.Context, dir string, args ...string) (string, bool) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...) //nolint:gosec // arguments of this file
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err == nil
}

var shortRemote = lazyregexp.New(`^(?:[^@/]+@)?([^:/]+):([^/].*)$`)

// repositoryURI writes a remote as SLSA does. A password or a token in it goes.
// So does a remote that is a folder: it says something of this machine only.
func repositoryURI(remote string) string {
	if m := shortRemote().FindStringSubmatch(remote); m != nil && !strings.Contains(remote, "://") {
		return "git+ssh://" + m[1] + "/" + strings.TrimSuffix(m[2], ".git")
	}
	u, err := url.Parse(remote)
	if err != nil || u.Host == "" {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	u.Path = strings.TrimSuffix(u.Path, ".git")
	return "git+" + u.String()
}

func trimAlgorithm(digest string) string {
	_, sum, ok := strings.Cut(digest, ":")
	if !ok {
		return digest
	}
	return sum
}
