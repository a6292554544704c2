package do

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/sdk/infra"
)

// dropletConfig is the configuration of infra.droplet.
type dropletConfig struct {
	infra.Droplet
	Specific dropletSpecific `json:"provider_specific,omitzero" doc:"what only DigitalOcean has"`
}

type dropletSpecific struct {
	Size       string   `json:"size,omitempty" doc:"a size of DigitalOcean, in the place of xs to xl" example:"g-2vcpu-8gb"`
	Tags       []string `json:"tags,omitempty" doc:"more tags"`
	Monitoring bool     `json:"monitoring,omitempty" wfctl:"immutable" doc:"install the metrics agent"`
	ResizeDisk bool     `json:"resize_disk,omitempty" doc:"let the disk grow with the size; it can never be made smaller again"`
}

// machines are the sizes of Droplets and of the nodes of a cluster.
func machines() map[string]string {
	return map[string]string{"xs": "s-1vcpu-1gb", "s": "s-1vcpu-2gb", "m": "s-2vcpu-4gb", "l": "s-4vcpu-8gb", "xl": "s-8vcpu-16gb"}
}

const dropletSize = "s"

func (c dropletConfig) slug() string {
	return sized(machines(), c.Specific.Size, c.Size, dropletSize)
}

// sized tells whether the configuration says a size.
func (c dropletConfig) sized() bool { return c.Size != "" || c.Specific.Size != "" }

func droplets() kind {
	return &typed[dropletConfig, godo.Droplet]{
		name: infra.TypeDroplet, what: "Droplet", description: "A virtual machine.",
		idFormat: "^[1-9][0-9]*$", nameFormat: wordFormat, nameHint: wordHint, nameMax: 255,
		out: []sdk.OutputSchema{
			output("id", "string", "identifier, a number"), output("urn", "string", "uniform resource name"), changing("name", "string", "name"),
			output("region", "string", "where it is"), changing("size_slug", "string", "DigitalOcean's word for its size"), changing("disk_gib", "integer", "size of its disk"),
			output("ip", "string", "public IPv4 address"), output("private_ip", "string", "IPv4 address in its VPC"), changing("ipv6", "string", "public IPv6 address"),
			output("vpc_id", "string", "identifier of its VPC"),
		},
		dependsOn: []string{infra.TypeVolume, infra.TypeVPC},
		sizing:    machines(),
		untold:    []string{"ssh_keys", "user_data"},
		renames:   true,
		guest:     refDroplet,
		limits:    limits{10 * time.Minute, 20 * time.Minute, 10 * time.Minute},
		check:     checkDroplet,
		notes:     noteDroplet,
		judge:     judgeDroplet,
		weigh:     weighDroplet,
		canonical: func(c *dropletConfig) {
			slices.Sort(c.Volumes)
			slices.Sort(c.Specific.Tags)
		},
		api: dropletDriver{},
	}
}

func checkDroplet(_ string, c dropletConfig) []sdk.Diagnostic {
	return append(checkTags(c.Specific.Tags), bothSizes(c.Size, c.Specific.Size)...)
}

// checkTags finds tags that the platform does not take.
func checkTags(tags []string) []sdk.Diagnostic {
	var list []sdk.Diagnostic
	at := sdk.Path("/provider_specific/tags")
	for i, tag := range tags {
		bad := strings.ContainsFunc(tag, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-:", r)
		})
		switch {
		case bad || tag == "" || len(tag) > tagMax:
			list = append(list, wrong(at.Index(i), "", "%q is no tag: it has letters, digits, colons, dashes and underscores, %d at most", tag, tagMax))
		case len(freeTags([]string{tag})) == 0 || strings.HasPrefix(tag, claimPrefix):
			list = append(list, wrong(at.Index(i), "", "tags that begin as %q are wfctl's own", tag))
		}
	}
	return list
}

func bothSizes(portable, specific string) []sdk.Diagnostic {
	if portable == "" || specific == "" {
		return nil
	}
	return []sdk.Diagnostic{wrong("/provider_specific/size", "take one of the two away", "the size is given twice")}
}

func noteDroplet(c dropletConfig) []sdk.Diagnostic {
	if c.Size == "" && c.Specific.Size == "" {
		return []sdk.Diagnostic{note("/size", "size is not set: it is %s", c.slug())}
	}
	return nil
}

// disks are the sizes of the disks of the portable sizes, in GiB.
func disks() map[string]int {
	return map[string]int{"s-1vcpu-1gb": 25, "s-1vcpu-2gb": 50, "s-2vcpu-4gb": 80, "s-4vcpu-8gb": 160, "s-8vcpu-16gb": 320}
}

func judgeDroplet(path sdk.Path, _ *sdk.Prior, next dropletConfig) (sdk.Action, string) {
	switch path {
	case "/size", "/provider_specific/size", "/provider_specific":
		return "", "it is powered off for the change"
	case "/ipv6":
		if !next.IPv6 {
			return sdk.ActionReplace, "IPv6 cannot be taken away"
		}
	}
	return "", ""
}

func numberIn(out sdk.Outputs, name string) int {
	var n int
	_ = json.Unmarshal(out[name].Reveal(), &n) // what is absent is 0
	return n
}

type dropletDriver struct{}

func dropletID(id string) (int, error) {
	n, err := strconv.Atoi(id)
	if err != nil {
		return 0, notFound("Droplet", id)
	}
	return n, nil
}

func (dropletDriver) get(ctx context.Context, a *account, id string) (*godo.Droplet, error) {
	n, err := dropletID(id)
	if err != nil {
		return nil, err
	}
	d, _, err := a.api.Droplets.Get(ctx, n)
	return d, said(err, "read the Droplet "+id)
}

// all leaves out the nodes of Kubernetes clusters, which come and go with
// their cluster.
func (dropletDriver) all(ctx context.Context, a *account, name string) ([]*godo.Droplet, error) {
	list, err := all(ctx, func(ctx context.Context, o *godo.ListOptions) ([]godo.Droplet, *godo.Response, error) {
		if name != "" {
			return a.api.Droplets.ListByName(ctx, name, o)
		}
		return a.api.Droplets.List(ctx, o)
	})
	if err != nil {
		return nil, said(err, "list Droplets")
	}
	return only(pointers(list), func(d *godo.Droplet) bool {
		return !slices.ContainsFunc(d.Tags, func(t string) bool { return t == "k8s" || strings.HasPrefix(t, "k8s:") })
	}), nil
}

func pointers[T any](list []T) []*T {
	out := make([]*T, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

func (dropletDriver) create(ctx context.Context, w *work[dropletConfig]) (*godo.Droplet, error) {
	region, err := w.place(w.config.Region)
	if err != nil {
		return nil, err
	}
	dir := w.directory(w.owner)
	vpc, err := dir.vpc(ctx, w.config.VPCRef)
	if err != nil {
		return nil, err
	}
	sshKeys, err := w.sshKeys(ctx, w.config.SSHKeys)
	if err != nil {
		return nil, err
	}
	image := godo.DropletCreateImage{Slug: w.config.Image}
	if n, err := strconv.Atoi(w.config.Image); err == nil {
		image = godo.DropletCreateImage{ID: n}
	}
	d, _, err := w.api.Droplets.Create(ctx, &godo.DropletCreateRequest{
		Name: w.name, Region: region, Size: w.config.slug(), Image: image, SSHKeys: sshKeys, Backups: w.config.Backups, IPv6: w.config.IPv6,
		Monitoring: w.config.Specific.Monitoring, UserData: w.config.UserData, VPCUUID: vpc, Tags: append(ownerTags(w.owner), w.config.Specific.Tags...),
	})
	return d, said(err, "create the Droplet "+w.name)
}

// sshKeys resolves keys that are given by name, fingerprint or number.
func (a *account) sshKeys(ctx context.Context, keys []string) ([]godo.DropletCreateSSHKey, error) {
	out := []godo.DropletCreateSSHKey{}
	if len(keys) == 0 {
		return out, nil
	}
	list, err := all(ctx, a.api.Keys.List)
	if err != nil {
		return nil, said(err, "list SSH keys")
	}
	for i, key := range keys {
		at := slices.IndexFunc(list, func(k godo.Key) bool { return k.Name == key || k.Fingerprint == key || strconv.Itoa(k.ID) == key })
		if at < 0 {
			return nil, invalid(sdk.Path("/ssh_keys").Index(i), "the account has no SSH key %q", key).WithHint("add it in DigitalOcean's control panel; it is found by name, fingerprint or number")
		}
		out = append(out, godo.DropletCreateSSHKey{ID: list[at].ID})
	}
	return out, nil
}

// running waits until a Droplet has no change under way.
func (dropletDriver) running(ctx context.Context, w *work[dropletConfig], id int) (d *godo.Droplet, err error) {
	err = w.await(ctx, "wait for the Droplet "+w.name, w.limit, func(ctx context.Context) (bool, error) {
		if d, _, err = w.api.Droplets.Get(ctx, id); err != nil {
			return false, said(err, "read the Droplet "+w.name)
		}
		return !d.Locked && d.Status != "new", nil
	})
	return d, err
}

// step is one change of a Droplet that is due in some state of it.
type step struct {
	what string
	due  func(d *godo.Droplet) bool
	do   func(ctx context.Context) (*godo.Action, *godo.Response, error)
}

func (r dropletDriver) converge(ctx context.Context, w *work[dropletConfig], have *godo.Droplet) (*godo.Droplet, error) {
	w.progress("wait until the Droplet " + w.name + " runs")
	d, err := r.running(ctx, w, have.ID)
	if err != nil {
		return have, err
	}
	if err := r.mayBe(ctx, w, d); err != nil {
		return d, err
	}
	for _, s := range r.steps(w, d.ID) {
		if !s.due(d) {
			continue
		}
		if err := r.take(ctx, w, d.ID, s); err != nil {
			return d, errors.Join(err, r.restart(ctx, w, d.ID))
		}
		if d, err = r.running(ctx, w, d.ID); err != nil {
			return d, err
		}
	}
	if err := r.mount(ctx, w, d); err != nil {
		return d, err
	}
	var before []string
	if w.prior != nil {
		before = w.prior.Specific.Tags
	}
	tags := mergedTags(d.Tags, w.owner, w.config.Specific.Tags, before)
	if err := w.retag(ctx, "droplet", strconv.Itoa(d.ID), d.Tags, tags); err != nil {
		return d, err
	}
	return r.get(ctx, w.account, strconv.Itoa(d.ID))
}

const powerOn = "power on"

// take takes a step, to its end.
func (dropletDriver) take(ctx context.Context, w *work[dropletConfig], id int, s step) error {
	w.progress(s.what + " the Droplet " + w.name)
	action, _, err := s.do(ctx)
	if err != nil {
		return said(err, s.what+" the Droplet "+w.name)
	}
	return w.await(ctx, s.what+" the Droplet "+w.name, w.limit, func(ctx context.Context) (bool, error) {
		now, _, err := w.api.DropletActions.Get(ctx, id, action.ID)
		if err != nil {
			return false, said(err, "read an action of the Droplet "+w.name)
		}
		if now.Status == "errored" {
			return false, sdk.Errorf(sdk.CodeInternal, "DigitalOcean failed to %s the Droplet %s", s.what, w.name)
		}
		return now.Status == "completed", nil
	})
}

// restart powers a Droplet on again that a change has left off, whether or not
// somebody still waits for the change.
func (r dropletDriver) restart(ctx context.Context, w *work[dropletConfig], id int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restartTime)
	defer cancel()
	d, _, err := w.api.Droplets.Get(ctx, id)
	if err != nil || d.Status != "off" {
		return said(err, "read the Droplet "+w.name)
	}
	return r.take(ctx, w, id, step{what: powerOn, do: func(ctx context.Context) (*godo.Action, *godo.Response, error) {
		return w.api.DropletActions.PowerOn(ctx, id)
	}})
}

// restartTime bounds the power-on after a change that failed.
const restartTime = time.Minute

// mayBe is an error where what is there cannot become what is asked for.
func (dropletDriver) mayBe(ctx context.Context, w *work[dropletConfig], d *godo.Droplet) error {
	if w.fresh {
		return nil
	}
	if err := stays(w, "/region", w.config.Region, d.Region.Slug); err != nil {
		return err
	}
	if err := inNetwork(ctx, w, w.config.VPCRef, d.VPCUUID); err != nil {
		return err
	}
	if w.config.slug() == d.SizeSlug || !w.config.sized() {
		return nil
	}
	// It is not powered off for what cannot be.
	disk, err := w.diskOf(ctx, w.config.slug())
	if err != nil || disk == 0 || disk >= d.Disk {
		return err
	}
	e := sdk.Errorf(sdk.CodeConflict, "the Droplet %s has a disk of %d GiB, which cannot become one of %d GiB (%s)", w.name, d.Disk, disk, w.config.slug())
	e.Path = "/size"
	return e.WithHint("take a size whose disk is as large, or give this one another name")
}

// diskOf is the disk of a size in GiB; 0 where the platform does not know it.
func (a *account) diskOf(ctx context.Context, slug string) (int, error) {
	if known := disks()[slug]; known > 0 {
		return known, nil
	}
	list, err := all(ctx, a.api.Sizes.List)
	for _, size := range list {
		if size.Slug == slug {
			return size.Disk, nil
		}
	}
	return 0, said(err, "list the sizes of Droplets")
}

// weighDroplet looks up what the table of portable sizes does not have.
func weighDroplet(ctx context.Context, a *account, path sdk.Path, prior *sdk.Prior, next dropletConfig) (sdk.Action, string, error) {
	have := numberIn(prior.Outputs, "disk_gib")
	if have == 0 || path != "/size" && path != "/provider_specific/size" && path != "/provider_specific" {
		return "", "", nil
	}
	disk, err := a.diskOf(ctx, next.slug())
	if err != nil || disk == 0 || disk >= have {
		return "", "", err
	}
	return sdk.ActionReplace, fmt.Sprintf("its disk of %d GiB cannot become one of %d GiB", have, disk), nil
}

func (r dropletDriver) steps(w *work[dropletConfig], id int) []step {
	actions, c := w.api.DropletActions, w.config
	before := dropletConfig{}
	if w.prior != nil {
		before = *w.prior
	}
	_, saysBackups := keys(w.source)["backups"]
	// What the configuration does not say, and did not say before, is as
	// somebody made it.
	resize := func(d *godo.Droplet) bool { return d.SizeSlug != c.slug() && (c.sized() || before.sized()) }
	action := func(do func(context.Context, int) (*godo.Action, *godo.Response, error)) func(context.Context) (*godo.Action, *godo.Response, error) {
		return func(ctx context.Context) (*godo.Action, *godo.Response, error) { return do(ctx, id) }
	}
	return []step{
		{"rename", func(d *godo.Droplet) bool { return d.Name != w.name }, func(ctx context.Context) (*godo.Action, *godo.Response, error) {
			return actions.Rename(ctx, id, w.name)
		}},
		{"power off", func(d *godo.Droplet) bool { return resize(d) && d.Status == "active" }, action(actions.PowerOff)},
		{"resize", resize, func(ctx context.Context) (*godo.Action, *godo.Response, error) {
			return actions.Resize(ctx, id, c.slug(), c.Specific.ResizeDisk)
		}},
		{powerOn, func(d *godo.Droplet) bool { return d.Status == "off" }, action(actions.PowerOn)},
		{"enable backups of", func(d *godo.Droplet) bool { return c.Backups && !slices.Contains(d.Features, "backups") }, action(actions.EnableBackups)},
		{"disable backups of", func(d *godo.Droplet) bool {
			return (before.Backups || saysBackups) && !c.Backups && slices.Contains(d.Features, "backups")
		}, action(actions.DisableBackups)},
		{"enable IPv6 of", func(d *godo.Droplet) bool { return c.IPv6 && !slices.Contains(d.Features, "ipv6") }, action(actions.EnableIPv6)},
	}
}

// mount attaches the volumes that are asked for, and detaches those that are
// not any more. Volumes that the configuration never named are left alone.
func (r dropletDriver) mount(ctx context.Context, w *work[dropletConfig], d *godo.Droplet) error {
	dir := w.directory(w.owner)
	want, err := dir.ids(ctx, "/volumes", w.config.Volumes, refVolume)
	if err != nil {
		return err
	}
	for i, id := range want {
		if slices.Contains(d.VolumeIDs, id) {
			continue
		}
		w.progress("attach the volume " + w.config.Volumes[i])
		action, _, err := w.api.StorageActions.Attach(ctx, id, d.ID)
		err = w.volumeDone(ctx, id, action, said(err, "attach the volume "+w.config.Volumes[i]), w.limit)
		if err != nil && !w.mounted(ctx, id, d.ID, true) {
			return err
		}
	}
	if w.prior == nil {
		return nil
	}
	before, err := dir.ids(ctx, "/volumes", w.prior.Volumes, refVolume)
	if err != nil && !sdk.IsNotFound(err) {
		return err
	}
	for _, id := range before {
		if slices.Contains(want, id) || !slices.Contains(d.VolumeIDs, id) {
			continue
		}
		w.progress("detach the volume " + id)
		action, _, err := w.api.StorageActions.DetachByDropletID(ctx, id, d.ID)
		err = w.volumeDone(ctx, id, action, said(err, "detach the volume "+id), w.limit)
		if err != nil && !w.mounted(ctx, id, d.ID, false) {
			return err
		}
	}
	return nil
}

// mounted tells whether a volume is attached, or not, as it should be: a
// request whose answer was lost may have done it.
func (a *account) mounted(ctx context.Context, volume string, droplet int, want bool) bool {
	v, _, err := a.api.Storage.GetVolume(ctx, volume)
	return err == nil && slices.Contains(v.DropletIDs, droplet) == want
}

// ids resolves a list of references to things of one kind.
func (d *directory) ids(ctx context.Context, path sdk.Path, refs []string, kind string) ([]string, error) {
	var out []string
	for i, ref := range refs {
		e, err := d.find(ctx, path.Index(i), ref, kind)
		if err != nil {
			return nil, err
		}
		out = append(out, e.id)
	}
	return out, nil
}

// volumeDone waits for the end of an action on a volume.
func (a *account) volumeDone(ctx context.Context, id string, action *godo.Action, err error, limit time.Duration) error {
	if err != nil {
		return err
	}
	return a.await(ctx, "wait for the volume "+id, limit, func(ctx context.Context) (bool, error) {
		now, _, err := a.api.StorageActions.Get(ctx, id, action.ID)
		if err != nil {
			return false, said(err, "read an action of the volume "+id)
		}
		if now.Status == "errored" {
			return false, sdk.Errorf(sdk.CodeInternal, "DigitalOcean failed to %s the volume %s", now.Type, id)
		}
		return now.Status == "completed", nil
	})
}

func (dropletDriver) delete(ctx context.Context, a *account, have *godo.Droplet) error {
	_, err := a.api.Droplets.Delete(ctx, have.ID)
	return said(err, "delete the Droplet "+have.Name)
}

func (dropletDriver) own(ctx context.Context, a *account, have *godo.Droplet, owner sdk.Ownership) error {
	return a.retag(ctx, "droplet", strconv.Itoa(have.ID), have.Tags, append(freeTags(have.Tags), ownerTags(owner)...))
}

func (dropletDriver) facts(d *godo.Droplet) facts {
	f := facts{id: strconv.Itoa(d.ID), name: d.Name, owner: ownerIn(d.Tags), status: sdk.Healthy}
	switch d.Status {
	case "new":
		f.status, f.reason = sdk.Starting, "it boots for the first time"
	case "off":
		f.status, f.reason = sdk.Unhealthy, "it is powered off"
	case "archive":
		f.status, f.reason = sdk.Unhealthy, "it is archived"
	}
	return f
}

func (dropletDriver) describe(ctx context.Context, a *account, owner sdk.Ownership, d *godo.Droplet, want *dropletConfig) (dropletConfig, error) {
	var c dropletConfig
	var tags *[]string
	if want != nil {
		c, tags = *want, &want.Specific.Tags
	}
	dir := a.directory(owner)
	vpc, err := dir.word(ctx, words(c.VPCRef), refVPC, d.VPCUUID)
	if err != nil {
		return c, err
	}
	var volumes []string
	for _, id := range d.VolumeIDs {
		word, err := dir.word(ctx, c.Volumes, refVolume, id)
		if err != nil {
			return c, err
		}
		volumes = append(volumes, word)
	}
	size, specific := sizeWords(machines(), d.SizeSlug, c.Size, c.Specific.Size, dropletSize)
	image := cmp.Or(d.Image.Slug, strconv.Itoa(d.Image.ID))
	if c.Image == strconv.Itoa(d.Image.ID) {
		image = c.Image
	}
	return dropletConfig{
		Droplet: infra.Droplet{
			Common: infra.Common{Region: d.Region.Slug, Size: size}, Image: image, VPCRef: vpc, Volumes: volumes,
			Backups: slices.Contains(d.Features, "backups"), IPv6: slices.Contains(d.Features, "ipv6"),
		},
		Specific: dropletSpecific{Size: specific, Tags: tagWords(d.Tags, tags), Monitoring: slices.Contains(d.Features, "monitoring"), ResizeDisk: c.Specific.ResizeDisk},
	}, nil
}

func (dropletDriver) outputs(_ context.Context, _ *account, d *godo.Droplet) (sdk.Outputs, error) {
	// Addresses that it has not (yet) are empty.
	public, _ := d.PublicIPv4()
	private, _ := d.PrivateIPv4()
	v6, _ := d.PublicIPv6()
	return sdk.Outputs{
		"id": sdk.Out(strconv.Itoa(d.ID)), "urn": sdk.Out(d.URN()), "name": sdk.Out(d.Name), "region": sdk.Out(d.Region.Slug), "size_slug": sdk.Out(d.SizeSlug),
		"disk_gib": sdk.Out(d.Disk), "ip": sdk.Out(public), "private_ip": sdk.Out(private), "ipv6": sdk.Out(v6), "vpc_id": sdk.Out(d.VPCUUID),
	}, nil
}
