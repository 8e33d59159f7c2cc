// Command kubecheck reads Kubernetes manifests on stdin and checks them with the
// API server's own code: unknown fields, defaults, and what each kind demands.
// The kinds are those that deploy/kubernetes has; any other is refused. In place of
// manifests it also takes one object in the binary form that clients send. It writes
// what it has read to stdout as JSON, one object a line.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kubernetes/pkg/apis/apps"
	appsinstall "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	coreinstall "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	networkinginstall "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	policyinstall "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	"k8s.io/kubernetes/pkg/capabilities"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kubecheck:", err)
		os.Exit(1)
	}
}

// run checks all manifests and writes those that are right.
func run(in io.Reader, out io.Writer) error {
	capabilities.Initialize(capabilities.Capabilities{AllowPrivileged: true})
	scheme := runtime.NewScheme()
	coreinstall.Install(scheme)
	appsinstall.Install(scheme)
	networkinginstall.Install(scheme)
	policyinstall.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	decoder := codecs.UniversalDecoder()
	buffered := bufio.NewReader(in)
	if start, _ := buffered.Peek(len(binaryStart)); string(start) == binaryStart {
		text, err := manifestOf(codecs, buffered)
		if err != nil {
			return fmt.Errorf("read an object: %w", err)
		}
		buffered = bufio.NewReader(bytes.NewReader(text))
	}
	reader := yaml.NewYAMLReader(buffered)
	var found []error
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return errors.Join(found...)
		}
		if err != nil {
			return fmt.Errorf("read manifests: %w", err)
		}
		object, kind, err := decoder.Decode(text, nil, nil)
		if err != nil {
			found = append(found, err)
			continue
		}
		if err := validate(object); err != nil {
			found = append(found, fmt.Errorf("%s: %w", kind.Kind, err))
			continue
		}
		line, err := yaml.ToJSON(text)
		if err != nil {
			return fmt.Errorf("write manifests: %w", err)
		}
		if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
			return fmt.Errorf("write manifests: %w", err)
		}
	}
}

// binaryStart begins every object in binary form.
const binaryStart = "k8s\x00"

// manifestOf is the manifest of an object in binary form.
func manifestOf(codecs serializer.CodecFactory, in io.Reader) ([]byte, error) {
	binary, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	object, _, err := codecs.UniversalDeserializer().Decode(binary, nil, nil)
	if err != nil {
		return nil, err
	}
	return json.Marshal(object)
}

// validate fills in what the API server does when an object is made, and
// checks the object.
func validate(object runtime.Object) error {
	o, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	if o.GetNamespace() == "" {
		o.SetNamespace(metav1.NamespaceDefault)
	}
	if service, ok := object.(*core.Service); ok && service.Spec.ClusterIP != "" {
		service.Spec.ClusterIPs = []string{service.Spec.ClusterIP}
	}
	return faults(object).ToAggregate()
}

func faults(object runtime.Object) field.ErrorList {
	switch o := object.(type) {
	case *core.ConfigMap:
		return corevalidation.ValidateConfigMap(o)
	case *core.Service:
		return corevalidation.ValidateServiceCreate(o)
	case *apps.StatefulSet:
		return appsvalidation.ValidateStatefulSet(o, appsvalidation.StatefulSetValidationOptions{}, corevalidation.PodValidationOptions{})
	case *policy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(o, policyvalidation.PodDisruptionBudgetValidationOptions{})
	case *networking.NetworkPolicy:
		return networkingvalidation.ValidateNetworkPolicy(o, networkingvalidation.NetworkPolicyValidationOptions{})
	}
	return field.ErrorList{field.NotSupported(field.NewPath("kind"), fmt.Sprintf("%T", object), []string{})}
}
