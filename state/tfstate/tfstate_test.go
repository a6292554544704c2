package tfstate

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func read(t *testing.T, file string) []Resource {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // read only
	list, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// The file is Terraform 1.11.4's own; what it holds is values alone.
func TestTerraformsOwnFile(t *testing.T) {
	var got []string
	for _, m := range Assign(read(t, "testdata/terraform_data.tfstate"), nil, nil) {
		if !m.Empty || m.Module != "" {
			t.Errorf("%s: %+v", m.Resource.Address, m)
		}
		got = append(got, m.Resource.Address)
	}
	// As `terraform state list` prints them.
	want := `terraform_data.each["a b"] terraform_data.each["c"] terraform_data.greeting terraform_data.pair[0] terraform_data.pair[1] module.app.terraform_data.inner`
	if strings.Join(got, " ") != want {
		t.Errorf("got %s", got)
	}
}

func TestAssign(t *testing.T) {
	modules := []Module{
		{"db", "guestbook-db", "infra.database", "digitalocean"},
		{"sessions", "sessions", "infra.cache", "digitalocean"},
		{"app-web-0", "x", "infra.droplet", "digitalocean"},
		{"web_1", "y", "infra.droplet", "digitalocean"},
		{"site", "site", "infra.certificate", "digitalocean"},
		{"net", "net", "infra.vpc", "digitalocean"},
		{"data", "data", "infra.volume", "digitalocean"},
		{"assets", "assets", "infra.storage", "digitalocean"},
	}
	got := map[string]string{}
	for _, m := range Assign(read(t, "testdata/cloud.tfstate"), modules, nil) {
		got[m.Resource.Address] = m.Module + " " + m.Resource.ID + " " + m.Why
	}
	for address, want := range map[string]string{
		"digitalocean_database_cluster.main":     "db 9cc10173-e9ea-4176-9dbc-a4cee4c4ff30 ",
		"digitalocean_database_cluster.sessions": "sessions 1b8c9a61-7d5f-4c4e-a6a5-0f4f9a3f7d02 ",
		"module.app.digitalocean_droplet.web[0]": "app-web-0 3164444 ",
		"module.app.digitalocean_droplet.web[1]": "web_1 3164445 ",
		"digitalocean_certificate.site":          "site 892071a0-bb95-49bc-8021-3afd67a210bf ",
		"digitalocean_volume.data":               "data f1ffa2f4-55ea-42e3-9f74-d6de4b1e6b11 ",
	} {
		if got[address] != want {
			t.Errorf("%s: %q, want %q", address, got[address], want)
		}
		delete(got, address)
	}
	for address, why := range map[string]string{
		"digitalocean_vpc.net": "tainted", "digitalocean_volume.data (deposed 5eb2ff10)": "let Terraform destroy it", "digitalocean_project.all": "--map",
		"aws_s3_bucket.assets": "on its platform", "random_password.admin": "in Terraform's state alone",
	} {
		if !strings.HasPrefix(got[address], " ") || !strings.Contains(got[address], why) {
			t.Errorf("%s: %q", address, got[address])
		}
		delete(got, address)
	}
	if len(got) > 0 {
		t.Errorf("more: %v", got)
	}
}

// What a person says holds; two for one module is settled by nobody else.
func TestAssignByHand(t *testing.T) {
	all := read(t, "testdata/cloud.tfstate")
	modules := []Module{{"box", "box", "acme.droplet", "acme"}, {"main", "guestbook-db", "infra.database", "digitalocean"}}
	by := map[string]string{"module.app.digitalocean_droplet.web[0]": "box", "digitalocean_project.all": "main", "digitalocean_vpc.net": "main"}
	for _, m := range Assign(all, modules, by) {
		switch m.Resource.Address {
		case "module.app.digitalocean_droplet.web[0]":
			if m.Module != "box" {
				t.Errorf("%+v", m)
			}
		case "digitalocean_project.all", "digitalocean_database_cluster.main":
			if m.Module != "" || !strings.Contains(m.Why, "2 resources could be module main") {
				t.Errorf("%+v", m)
			}
		case "digitalocean_vpc.net":
			if m.Module != "" || !strings.Contains(m.Why, "tainted") {
				t.Errorf("%+v", m)
			}
		}
	}
}

// Nothing that the file holds besides addresses and identifiers gets out.
func TestNothingSecretIsRead(t *testing.T) {
	text := fmt.Sprintf("%+v", Assign(read(t, "testdata/cloud.tfstate"), nil, nil))
	if strings.Contains(text, "secret") && !strings.Contains(text, "random_password") || strings.Contains(text, "AVNS") || strings.Contains(text, "BEGIN") {
		t.Error(text)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, words := range map[string]string{
		`{"version": 3, "modules": []}`:                "its version is 3",
		`{"format_version": "1.0", "values": {}}`:      "terraform show -json",
		`{"encrypted_data": "x", "version": 4}`:        "encrypted",
		`{"resources": []}`:                            "no version",
		`{"version": 4, "resources": "hunter2"}`:       "no Terraform state",
		`hunter2`:                                      "no Terraform state",
		`{"version": 4, "resources": [{"mode": 7}]}`:   "no Terraform state",
		`{"version": "4", "serial": "hunter2-hunter"}`: "no Terraform state",
	} {
		_, err := Read(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
	list, err := Read(strings.NewReader(`{"version": 4, "resources": [{"mode": "managed", "type": "a_b", "name": "c", "instances": [
		{"attributes": {"id": "hunter2"}, "sensitive_attributes": [[{"type": "get_attr", "value": "id"}]]}, {"attributes": {}}]}]}`))
	if err != nil || len(list) != 2 || list[0].ID != "" || list[0].Problem == "" || list[1].Problem == "" {
		t.Errorf("%+v, %v", list, err)
	}
}

func FuzzRead(f *testing.F) {
	for _, file := range []string{"testdata/terraform_data.tfstate", "testdata/cloud.tfstate"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	modules := []Module{{"db", "db", "infra.database", "aws"}}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, m := range Assign(list, modules, nil) {
			if m.Module == "" && m.Why == "" {
				t.Errorf("%+v: nobody takes it and nothing says why", m)
			}
		}
	})
}
