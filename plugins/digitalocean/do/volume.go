package do

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// volumeConfig is the configuration of infra.volume.
type volumeConfig struct {
	infra.Volume
	Specific volumeSpecific `json:"provider_specific,omitzero" doc:"what only DigitalOcean has"`
}

type volumeSpecific struct {
	Description string   `json:"description,omitempty" wfctl:"immutable"`
	Label       string   `json:"filesystem_label,omitempty" wfctl:"immutable" doc:"label of the file system"`
	Snapshot    string   `json:"snapshot_id,omitempty" wfctl:"immutable,writeonly" doc:"snapshot that it is made of"`
	Tags        []string `json:"tags,omitempty" doc:"more tags"`
}

// gibs are the portable sizes.
func gibs() map[string]int { return map[string]int{"xs": 10, "s": 25, "m": 50, "l": 100, "xl": 250} }

func (c volumeConfig) gib() int { return cmp.Or(c.SizeGiB, gibs()[c.Size], gibs()["xs"]) }

func volumes() kind {
	sizing := map[string]string{}
	for size, n := range gibs() {
		sizing[size] = fmt.Sprintf("%d GiB", n)
	}
	return &typed[volumeConfig, godo.Volume]{
		name: infra.TypeVolume, what: "volume", description: "A block device that a Droplet can have.",
		idFormat: uuidFormat, nameFormat: "^[a-z][a-z0-9-]*[a-z0-9]$", nameHint: "it has small letters, digits and hyphens, begins with a letter, and has two characters at least", nameMax: 64,
		out: []sdk.OutputSchema{
			output("id", "string", "identifier"), output("urn", "string", "uniform resource name"), output("name", "string", "name"), output("region", "string", "where it is"),
			changing("size_gib", "integer", "its size"), output("device", "string", "where a Droplet that has it sees it"),
		},
		sizing: sizing,
		limits: limits{5 * time.Minute, 5 * time.Minute, 10 * time.Minute},
		check: func(_ string, c volumeConfig) []sdk.Diagnostic {
			list := checkTags(c.Specific.Tags)
			if c.Size != "" && c.SizeGiB != 0 {
				list = append(list, wrong("/size_gib", "take one of the two away", "the size is given twice"))
			}
			if c.SizeGiB > 16384 {
				list = append(list, wrong("/size_gib", "", "a volume has at most 16384 GiB"))
			}
			return list
		},
		notes: func(c volumeConfig) []sdk.Diagnostic {
			if c.Size == "" && c.SizeGiB == 0 {
				return []sdk.Diagnostic{note("/size_gib", "size_gib is not set: it is %d", c.gib())}
			}
			return nil
		},
		judge:     judgeVolume,
		canonical: func(c *volumeConfig) { slices.Sort(c.Specific.Tags) },
		api:       volumeDriver{},
	}
}

func judgeVolume(path sdk.Path, prior *sdk.Prior, next volumeConfig) (sdk.Action, string) {
	if path != "/size" && path != "/size_gib" {
		return "", ""
	}
	if have := numberIn(prior.Outputs, "size_gib"); have > next.gib() {
		return sdk.ActionReplace, fmt.Sprintf("a volume of %d GiB cannot be made smaller", have)
	}
	return "", ""
}

type volumeDriver struct{}

func (volumeDriver) get(ctx context.Context, a *account, id string) (*godo.Volume, error) {
	v, _, err := a.api.Storage.GetVolume(ctx, id)
	return v, said(err, "read the volume "+id)
}

func (volumeDriver) all(ctx context.Context, a *account, name string) ([]*godo.Volume, error) {
	list, err := all(ctx, func(ctx context.Context, o *godo.ListOptions) ([]godo.Volume, *godo.Response, error) {
		return a.api.Storage.ListVolumes(ctx, &godo.ListVolumeParams{Name: name, ListOptions: o})
	})
	return pointers(list), said(err, "list volumes")
}

func (volumeDriver) create(ctx context.Context, w *work[volumeConfig]) (*godo.Volume, error) {
	region, err := w.place(w.config.Region)
	if err != nil {
		return nil, err
	}
	c := w.config
	v, _, err := w.api.Storage.CreateVolume(ctx, &godo.VolumeCreateRequest{
		Region: region, Name: w.name, Description: c.Specific.Description, SizeGigaBytes: int64(c.gib()), SnapshotID: c.Specific.Snapshot,
		FilesystemType: c.Filesystem, FilesystemLabel: c.Specific.Label, Tags: append(ownerTags(w.owner), c.Specific.Tags...),
	})
	return v, said(err, "create the volume "+w.name)
}

func (r volumeDriver) converge(ctx context.Context, w *work[volumeConfig], have *godo.Volume) (*godo.Volume, error) {
	v, err := r.get(ctx, w.account, have.ID)
	if err != nil {
		return have, err
	}
	if err := stays(w, "/region", w.config.Region, v.Region.Slug); err != nil {
		return v, err
	}
	if err := stays(w, "/filesystem", w.config.Filesystem, v.FilesystemType); err != nil {
		return v, err
	}
	if want := w.config.gib(); int(v.SizeGigaBytes) < want {
		w.progress(fmt.Sprintf("let the volume %s grow to %d GiB", w.name, want))
		action, _, err := w.api.StorageActions.Resize(ctx, v.ID, want, v.Region.Slug)
		if err := w.volumeDone(ctx, v.ID, action, said(err, "resize the volume "+w.name), w.limit); err != nil {
			return v, err
		}
	} else if int(v.SizeGigaBytes) > want {
		return v, stays(w, "/size_gib", strconv.Itoa(want), strconv.Itoa(int(v.SizeGigaBytes)))
	}
	var before []string
	if w.prior != nil {
		before = w.prior.Specific.Tags
	}
	if err := w.retag(ctx, "volume", v.ID, v.Tags, mergedTags(v.Tags, w.owner, w.config.Specific.Tags, before)); err != nil {
		return v, err
	}
	return r.get(ctx, w.account, v.ID)
}

// delete names the Droplet that has the volume, where the platform refuses.
func (volumeDriver) delete(ctx context.Context, a *account, have *godo.Volume) error {
	_, err := a.api.Storage.DeleteVolume(ctx, have.ID)
	if err = said(err, "delete the volume "+have.Name); sdk.CodeOf(err) != sdk.CodeConflict {
		return err
	}
	now, _, getErr := a.api.Storage.GetVolume(ctx, have.ID)
	if getErr != nil {
		return err
	}
	e := sdk.Errorf(sdk.CodeConflict, "the volume %s is attached", have.Name)
	for _, id := range now.DropletIDs {
		e.Blockers = append(e.Blockers, "do:droplet:"+strconv.Itoa(id))
	}
	return e.WithHint("detach it: take it out of the Droplet's `volumes`, or delete the Droplet")
}

func (volumeDriver) own(ctx context.Context, a *account, have *godo.Volume, owner sdk.Ownership) error {
	return a.retag(ctx, "volume", have.ID, have.Tags, append(freeTags(have.Tags), ownerTags(owner)...))
}

func (volumeDriver) facts(v *godo.Volume) facts {
	return facts{id: v.ID, name: v.Name, owner: ownerIn(v.Tags), status: sdk.Healthy}
}

func (volumeDriver) describe(_ context.Context, _ *account, _ sdk.Ownership, v *godo.Volume, want *volumeConfig) (volumeConfig, error) {
	var tags *[]string
	if want != nil {
		tags = &want.Specific.Tags
	}
	c := volumeConfig{
		Volume:   infra.Volume{Common: infra.Common{Region: v.Region.Slug}, SizeGiB: int(v.SizeGigaBytes), Filesystem: v.FilesystemType},
		Specific: volumeSpecific{Description: v.Description, Label: v.FilesystemLabel, Tags: tagWords(v.Tags, tags)},
	}
	if want != nil {
		c.Specific.Snapshot = want.Specific.Snapshot
		if want.gib() == int(v.SizeGigaBytes) {
			c.Size, c.SizeGiB = want.Size, want.SizeGiB
		}
	}
	return c, nil
}

func (volumeDriver) outputs(_ context.Context, _ *account, v *godo.Volume) (sdk.Outputs, error) {
	return sdk.Outputs{
		"id": sdk.Out(v.ID), "urn": sdk.Out(v.URN()), "name": sdk.Out(v.Name), "region": sdk.Out(v.Region.Slug), "size_gib": sdk.Out(v.SizeGigaBytes),
		"device": sdk.Out("/dev/disk/by-id/scsi-0DO_Volume_" + v.Name),
	}, nil
}
