package main

import (
	"errors"
	"fmt"
)

// compare compares outcomes with what this project claims: stock is killed, with
// small layers in the cache export, and the guarded daemon finishes all builds
// and loses nothing.
func (s *scenario) compare(outcomes []outcome) error {
	var errs []error
	for _, o := range outcomes {
		check := s.checkStock
		if o.daemon == guarded {
			check = s.checkGuarded
		}
		if err := check(o); err != nil {
			errs = append(errs, fmt.Errorf("with layers of %s, %w", size(o.layerSize), err))
		}
	}
	return errors.Join(errs...)
}

func (s *scenario) checkStock(o outcome) error {
	if !o.exit.OOMKilled() {
		return fmt.Errorf("the stock daemon has survived; it needs more than %d layers or less than %s to be killed",
			s.layers, size(s.memory))
	}
	if o.layerSize == smallLayer && !o.reached(cacheExport) {
		return fmt.Errorf("the stock daemon was killed in the %s already; it needs fewer than %d layers or more than %s to come to the cache export",
			o.lastBuild(), s.layers, size(s.memory))
	}
	return nil
}

func (s *scenario) checkGuarded(o outcome) error {
	if o.exit.OOMKilled() {
		return fmt.Errorf("the guarded daemon was killed for its memory in the %s", o.lastBuild())
	}
	if o.cached != steps {
		return fmt.Errorf("a fresh daemon found %d of %d steps in the cache of the guarded one", o.cached, steps)
	}
	return nil
}
