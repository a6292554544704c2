package builtin

import (
	"os"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/kind"
	"github.com/gocodealone/wfctl/step"
	"github.com/gocodealone/wfctl/step/approval"
	"github.com/gocodealone/wfctl/step/command"
	"github.com/gocodealone/wfctl/step/golang"
	httpstep "github.com/gocodealone/wfctl/step/http"
	"github.com/gocodealone/wfctl/step/jq"
	projectstep "github.com/gocodealone/wfctl/step/project"
	"github.com/gocodealone/wfctl/step/publish"
	"github.com/gocodealone/wfctl/step/validate"
	verifystep "github.com/gocodealone/wfctl/step/verify"
	"github.com/gocodealone/wfctl/step/wasm"
)

// steps is the table of step kinds.
func steps(h *engine.StepHost) kind.Set[step.Kind] {
	workers := &golang.Workers{Command: componentCommand()}
	h.AtEnd(workers.Close)
	return kind.NewSet("step type", map[string]step.Kind{
		"approval":        approval.Kind(),
		"command":         command.Kind(),
		"container_build": projectstep.ContainerBuild(h, h).AsChanging(),
		"deploy_verify":   verifystep.Kind(),
		"go":              golang.Kind(h.Dir(), workers),
		"http":            httpstep.Kind(nil),
		"infra_apply":     projectstep.InfraApply(h).AsChanging(),
		"infra_outputs":   projectstep.InfraOutputs(h),
		"jq":              jq.Kind(),
		"migrate":         projectstep.Migrate(h).AsChanging(),
		"publish":         publish.Kind(),
		"secrets_sync":    projectstep.SecretsSync(h).AsChanging(),
		"validate":        validate.Kind(h.Dir()),
		"wasm":            wasm.Kind(h.Dir()),
	})
}

// componentCommand is this binary as the worker of steps of type go.
func componentCommand() []string {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return []string{self, "__component"}
}
