"""Reports on ML work: an experiment, a model, a project, a deployment, synthetic data or a privacy session, as runs like any other."""
