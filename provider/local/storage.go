package local

import (
	"context"
	"net/url"
	"os"
	"path/filepath"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

const onOneMachine = "everything is on this machine"

// storage is a folder in place of a bucket.
func (p *provider) storage() kind {
	return &typed[infra.Storage]{
		name: infra.TypeStorage, dir: "storage", description: "A folder on this machine.",
		out: []sdk.OutputSchema{
			output("id", "string", "identifier"), output("path", "string", "the folder"), output("uri", "string", "the folder as a file:// URI"),
			output("bucket", "string", "the resource name"),
		},
		ignored: map[string]string{"region": onOneMachine, "size": "a folder has the size of the disk", "acl": "the folder is its owner's alone", "versioning": "a folder keeps no versions", "cors": "no browser reads it"},
		make:    folder("data"), find: hasFolder("data"), report: folderOutputs("data", "bucket"),
	}
}

// volumes are folders in place of block devices.
func (p *provider) volumes() kind {
	return &typed[infra.Volume]{
		name: infra.TypeVolume, dir: "volumes", description: "A folder on this machine in place of a block device.",
		out:     []sdk.OutputSchema{output("id", "string", "identifier"), output("path", "string", "the folder"), output("uri", "string", "the folder as a file:// URI"), output("name", "string", "the resource name")},
		ignored: map[string]string{"region": onOneMachine, "size": "a folder has the size of the disk", "size_gib": "a folder has the size of the disk", "filesystem": "it is the machine's"},
		make: func(ctx context.Context, j *job, c infra.Volume) error {
			return folder("data")(ctx, j, infra.Storage{})
		},
		find: hasFolder("data"), report: folderOutputs("data", "name"),
	}
}

func folder(sub string) func(context.Context, *job, infra.Storage) error {
	return func(_ context.Context, j *job, _ infra.Storage) error {
		return os.MkdirAll(j.thing.path(sub), 0o700)
	}
}

func hasFolder(sub string) func(context.Context, *thing) (condition, error) {
	return func(_ context.Context, t *thing) (condition, error) {
		info, err := os.Stat(t.path(sub))
		if err != nil || !info.IsDir() {
			return condition{gone: true}, nil
		}
		return well, nil
	}
}

func folderOutputs(sub, nameField string) func(context.Context, *thing) (sdk.Outputs, error) {
	return func(_ context.Context, t *thing) (sdk.Outputs, error) {
		path := t.path(sub)
		uri := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
		return sdk.Outputs{"id": sdk.Out(t.ID), "path": sdk.Out(path), "uri": sdk.Out(uri.String()), nameField: sdk.Out(t.Name)}, nil
	}
}
