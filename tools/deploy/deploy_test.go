// SPDX-License-Identifier: Apache-2.0

// Package deploy holds what is in deploy/compose and deploy/kubernetes against the programs that read it: Kustomize, the types of
// Kubernetes' API, Compose's own loader, Prometheus, and `broker check`.
package deploy

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/prometheus/prometheus/config"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	kubernetes = "../../deploy/kubernetes"
	compose    = "../../deploy/compose"
	secret     = "CHRONIK_PEER_SECRET=0123456789abcdef0123456789abcdef"
)

// broker builds the program.
func broker(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "broker")
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", program, "./cmd/broker").CombinedOutput(); err != nil {
		t.Fatalf("building the broker: %v\n%s", err, out)
	}
	return program
}

// check runs `broker check` in an environment, and nothing else of this machine's.
func check(t *testing.T, program, file string, env ...string) {
	t.Helper()
	cmd := exec.Command(program, "check", "-config", file)
	cmd.Env = append(env, secret)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "the configuration is right") {
		t.Errorf("%s with %q: %v\n%s", file, env, err, out)
	}
}

// cluster is what Kustomize makes.
type cluster struct {
	set     appsv1.StatefulSet
	budget  policyv1.PodDisruptionBudget
	network networkingv1.NetworkPolicy
	config  corev1.ConfigMap
	service map[string]*corev1.Service
	others  []string // kinds that Kubernetes itself doesn't have
}

// render builds the manifests with some components and reads them strictly: a field that the API doesn't know is an error.
func render(t *testing.T, components ...string) *cluster {
	t.Helper()
	files := filesys.MakeFsInMemory()
	err := filepath.WalkDir(kubernetes, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(kubernetes, path)
		if err != nil {
			return err
		}
		return files.WriteFile("/k/"+filepath.ToSlash(name), text)
	})
	if err != nil {
		t.Fatal(err)
	}
	top := "resources: [base]\n"
	if len(components) > 0 {
		top += "components: [components/" + strings.Join(components, ", components/") + "]\n"
	}
	if err := files.WriteFile("/k/kustomization.yaml", []byte(top)); err != nil {
		t.Fatal(err)
	}
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, "/k")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{service: make(map[string]*corev1.Service)}
	for _, r := range made.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		if r.GetNamespace() != "chronik" {
			t.Errorf("%s %s is in the namespace %q", r.GetKind(), r.GetName(), r.GetNamespace())
		}
		if into := c.into(r.GetKind(), r.GetName()); into == nil {
			c.others = append(c.others, r.GetKind())
		} else if err := yaml.UnmarshalStrict(text, into); err != nil {
			t.Errorf("%s %s: %v", r.GetKind(), r.GetName(), err)
		}
	}
	return c
}

func (c *cluster) into(kind, name string) any {
	switch kind {
	case "StatefulSet":
		return &c.set
	case "PodDisruptionBudget":
		return &c.budget
	case "NetworkPolicy":
		return &c.network
	case "ConfigMap":
		return &c.config
	case "Service":
		c.service[name] = new(corev1.Service)
		return c.service[name]
	}
	return nil
}

// TestKubernetes looks at what a cluster depends on.
func TestKubernetes(t *testing.T) {
	c := render(t)
	pod, spec := &c.set.Spec.Template, &c.set.Spec.Template.Spec
	if c.set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement || c.set.Spec.UpdateStrategy.Type != appsv1.RollingUpdateStatefulSetStrategyType {
		t.Error("founders have to start at the same time, and are updated one by one")
	}
	if s := c.service[c.set.Spec.ServiceName]; s == nil || s.Spec.ClusterIP != "None" || !s.Spec.PublishNotReadyAddresses {
		t.Error("brokers have to find each other before they are ready")
	}
	for what, selector := range map[string]map[string]string{
		"the set": c.set.Spec.Selector.MatchLabels, "the budget": c.budget.Spec.Selector.MatchLabels,
		"the network policy": c.network.Spec.PodSelector.MatchLabels, "the service": c.service["chronik"].Spec.Selector,
		"where clients begin": c.service["chronik-bootstrap"].Spec.Selector,
		"the anti-affinity":   spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].LabelSelector.MatchLabels,
		"the spread":          spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	} {
		if len(selector) == 0 {
			t.Errorf("%s selects everything", what)
		}
		for key, value := range selector {
			if pod.Labels[key] != value {
				t.Errorf("%s selects %s=%s, pods have %q", what, key, value, pod.Labels[key])
			}
		}
	}
	if c.budget.Spec.MaxUnavailable.IntValue() != 1 {
		t.Error("more than one broker may be away")
	}
	main := spec.Containers[0]
	if main.ReadinessProbe.HTTPGet.Path != "/readyz" || main.LivenessProbe.HTTPGet.Path != "/livez" {
		t.Error("the probes ask for other pages")
	}
	for _, each := range append(slices.Clone(spec.InitContainers), main) {
		if s := each.SecurityContext; !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || s.Capabilities.Drop[0] != "ALL" || !*spec.SecurityContext.RunAsNonRoot {
			t.Errorf("%s may do too much", each.Name)
		}
	}
	if spec.InitContainers[0].Args[0] != "format" {
		t.Error("nobody formats the folders of the founders")
	}
}

// TestKubernetesConfiguration has the broker itself look at the configuration of each pod, with each set of components.
func TestKubernetesConfiguration(t *testing.T) {
	program := broker(t)
	for _, components := range [][]string{nil, {"founded"}, {"racks"}, {"tls"}, {"founded", "racks", "tls"}} {
		t.Run(strings.Join(components, " "), func(t *testing.T) {
			c := render(t, components...)
			if slices.Contains(components, "founded") != (len(c.set.Spec.Template.Spec.InitContainers) == 0) {
				t.Error("a founded cluster must not be founded again, another one has to be")
			}
			if slices.Contains(components, "tls") != slices.Equal(c.others, []string{"Certificate", "Certificate"}) {
				t.Errorf("of other kinds there are %q", c.others)
			}
			dir := t.TempDir()
			file := filepath.Join(dir, "broker.toml")
			text := strings.ReplaceAll(c.config.Data["broker.toml"], "/etc/chronik-secret", dir)
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "peer.secret"), []byte(secret), 0o600); err != nil {
				t.Fatal(err)
			}
			writeCertificate(t, dir)
			for pod := range *c.set.Spec.Replicas {
				var env []string
				for _, e := range c.set.Spec.Template.Spec.Containers[0].Env {
					if e.ValueFrom != nil {
						e.Value = map[string]string{
							"metadata.labels['apps.kubernetes.io/pod-index']": fmt.Sprint(pod),
							"metadata.labels['topology.kubernetes.io/zone']":  "zone-a",
						}[e.ValueFrom.FieldRef.FieldPath]
					}
					env = append(env, e.Name+"="+strings.ReplaceAll(e.Value, "/etc/chronik-tls", dir))
				}
				cmd := exec.Command(program, "check", "-config", file)
				cmd.Env = env
				if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), fmt.Sprintf("broker %d of 3 known ones", pod)) {
					t.Errorf("pod %d: %v\n%s", pod, err, out)
				}
			}
		})
	}
}

// TestCompose reads compose.yaml as Compose does, and what it mounts.
func TestCompose(t *testing.T) {
	o, err := cli.NewProjectOptions([]string{filepath.Join(compose, "compose.yaml")}, cli.WithEnv([]string{secret, "CHRONIK_VERSION=v1"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	program := broker(t)
	for name, s := range project.Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %s to everybody", name, p.Published)
			}
		}
		if n, ok := strings.CutPrefix(name, "broker"); ok {
			if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.DependsOn["format"+n].Condition != types.ServiceConditionCompletedSuccessfully {
				t.Errorf("%s: read-only %v, drops %v, waits for %v", name, s.ReadOnly, s.CapDrop, s.DependsOn)
			}
			check(t, program, filepath.Join(compose, name+".toml"), "CHRONIK_LISTEN=0.0.0.0:9092", "CHRONIK_METRICS=0.0.0.0:9644", "CHRONIK_DIR=/data")
		}
	}
	if names := slices.Sorted(maps.Keys(project.Services)); len(names) != 8 {
		t.Errorf("services are %q", names)
	}
}

// TestComposePrometheus reads its configuration as Prometheus does. The alerts and the dashboard expect that job.
func TestComposePrometheus(t *testing.T) {
	c, err := config.LoadFile(filepath.Join(compose, "prometheus.yml"), false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.ScrapeConfigs) != 1 || c.ScrapeConfigs[0].JobName != "chronik" {
		t.Errorf("jobs: %+v", c.ScrapeConfigs)
	}
}
