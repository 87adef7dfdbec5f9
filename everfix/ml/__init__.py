"""What ML reports are about: projects, data sets, experiments, models, deployments, synthetic data and privacy sessions."""
