package fakedo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

const specFile = "digitalocean.json"

// ErrNoSpec says that DigitalOcean's description of its API is not at hand.
var ErrNoSpec = errors.New("the API description digitalocean.json was not found: set WFCTL_SPECS to the folder that has it, or put it in shared/specs beside the repository")

// Spec is DigitalOcean's description of its API. It is read only, so that
// one may serve many servers.
type Spec struct {
	doc        *openapi3.T
	operations map[string]map[int][]*operation
}

// LoadSpec reads a description from a file.
func LoadSpec(path string) (*Spec, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the API description: %w", err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		return nil, fmt.Errorf("read the API description %s: %w", path, err)
	}
	if doc.Paths.Len() == 0 {
		return nil, fmt.Errorf("read the API description %s: it has no paths", path)
	}
	return &Spec{doc: doc, operations: operations(doc)}, nil
}

// FindSpec looks for the description: in the folder that WFCTL_SPECS names,
// else in shared/specs beside any folder above the working directory.
func FindSpec() (string, error) {
	if dir := os.Getenv("WFCTL_SPECS"); dir != "" {
		return existing(filepath.Join(dir, specFile))
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if path, err := existing(filepath.Join(dir, "shared", "specs", specFile)); err == nil {
			return path, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", ErrNoSpec
		}
		dir = up
	}
}

func existing(path string) (string, error) {
	if _, err := os.Stat(path); err != nil {
		return "", ErrNoSpec
	}
	return path, nil
}

// DefaultSpec is the description that FindSpec finds, read once: it takes a
// tenth of a second, which every test of a package would pay.
var DefaultSpec = sync.OnceValues(func() (*Spec, error) {
	path, err := FindSpec()
	if err != nil {
		return nil, err
	}
	return LoadSpec(path)
})
