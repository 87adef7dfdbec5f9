"""Sources: the names a failure's `source` may carry: the connector types, and the doors that have no vendor."""

from __future__ import annotations

DEFAULT = "custom_api"

VENDORS = frozenset(
    """
    airbrake airbyte airflow appdynamics argocd asana auth0 aws_cloudwatch aws_codepipeline aws_guardduty aws_security_hub axiom
    azure_devops azure_monitor bamboo better_stack bigquery bitbucket bugsnag buildkite checkly checkmk circleci clickhouse clickup
    cloudflare confluent coralogix cronitor crowdstrike dash0 databricks datadog dbt_cloud dynatrace elastic_alerting elasticsearch
    fastly firehydrant fivetran fluxcd freshdesk freshservice front gcp_monitoring generic_webhook gitguardian github_actions
    github_issues github_security gitlab gorgias grafana grafana_oncall graylog harbor healthchecks_io helpscout heroku honeybadger
    hubspot icinga2 ilert inbound_email incident_io intercom jenkins jira jira_service_management kubernetes_events launchdarkly
    librenms linear mailgun make microsoft_defender monday mongodb_atlas msteams mysql nagios netdata netlify newrelic octopus_deploy
    okta onepassword opsgenie orca pagerduty pingdom postgresql posthog prefect prisma_cloud prometheus_alertmanager raygun redmine
    rollbar rootly rss_status_feed rundeck salesforce segment sendgrid sentinelone sentry servicenow shopify shortcut site24x7 slack
    snowflake snyk sonarqube splunk splunk_observability splunk_oncall squadcast statuscake statuspage stripe sumologic teamcity
    tenable thinkst_canary thousandeyes travis trello twilio updown uptime_kuma uptimerobot vercel wazuh wiz youtrack zabbix zammad
    zendesk zenduty zoho_desk
    """.split()
)
OWN = frozenset({"cloudevents", "csv", DEFAULT, "jsonl", "junit", "manual", "ml_monitor"})
ALL = VENDORS | OWN


def known(name: str) -> str:
    """Return `name` when it is a known source, else the default (reference, section 6.1)."""
    lowered = name.strip().lower()
    return lowered if lowered in ALL else DEFAULT
