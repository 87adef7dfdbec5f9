"""The planted causes that turn builds and data tests red: flaky tests, crowded runners, bad data. Data only."""

from __future__ import annotations

from everfix.demo.causes import Cause, Repair, Voice

# ruff: noqa: E501 - a table of texts: one text, one line
# fmt: off

CAUSES = (
    Cause(
        "e2e-checkout-iframe", "check", "storefront-web", "p3", "The payment frame of the test shop loads after the test gives up", 4.0, 2.2, (
            Voice("github_actions", 0.88, "e2e / checkout › pays by card ({chromium|firefox|webkit})", "Error: locator.click: Timeout 30000ms exceeded.\nCall log:\n  - waiting for frameLocator('iframe[name=\"psp\"]').getByRole('button', { name: 'Pay now' })", "TimeoutError", """Error: locator.click: Timeout 30000ms exceeded.
Call log:
  - waiting for frameLocator('iframe[name="psp"]').getByRole('button', { name: 'Pay now' })

    at CheckoutPage.pay (/home/runner/work/storefront-web/storefront-web/e2e/pages/checkout.ts:{L61}:22)
    at /home/runner/work/storefront-web/storefront-web/e2e/checkout.spec.ts:{L34}:5"""),
            Voice("github_actions", 0.12, "e2e / checkout › pays with a saved card ({chromium|firefox|webkit})", "Error: locator.click: Timeout 30000ms exceeded.", "TimeoutError", """Error: locator.click: Timeout 30000ms exceeded.
    at CheckoutPage.pay (/home/runner/work/storefront-web/storefront-web/e2e/pages/checkout.ts:{L61}:22)
    at /home/runner/work/storefront-web/storefront-web/e2e/saved-card.spec.ts:{L27}:5"""),
        ), rhythm="office", repairs=(
            Repair(0.29, "Retry end-to-end tests twice", "process", "low", False, "Green again, but slower; the frame is still late."),
            Repair(0.86, "Serve a stub of the payment frame in tests", "code_fix", "medium", True),
        ), environment="ci"),
    Cause(
        "e2e-search-debounce", "check", "storefront-web", "p4", "The search test types faster than the box debounces", 2.9, 2.0, (
            Voice("github_actions", 1.0, "e2e / search › suggests while typing ({chromium|firefox|webkit})", "Error: expect(locator).toBeVisible() failed\nLocator: getByRole('option', { name: 'oat drink' })\nTimeout: 30000ms exceeded", "TimeoutError", """Error: expect(locator).toBeVisible() failed

Locator: getByRole('option', { name: 'oat drink' })
Expected: visible
Timeout:  30000ms exceeded

    at /home/runner/work/storefront-web/storefront-web/e2e/search.spec.ts:{L22}:49"""),
        ), rhythm="office", born=0.26, environment="ci"),
    Cause(
        "payments-it-port", "check", "payments", "p4", "Two integration tests start a mock on the same port when they share a machine", 2.7, 1.9, (
            Voice("jenkins", 0.88, "payments-it » AcquirerFallbackIT.fallsBackAfterFiveSlowAnswers", "com.github.tomakehurst.wiremock.common.FatalStartupException: java.io.IOException: Failed to bind to 0.0.0.0/0.0.0.0:8089", "java.net.BindException", """com.github.tomakehurst.wiremock.common.FatalStartupException: java.lang.RuntimeException: java.io.IOException: Failed to bind to 0.0.0.0/0.0.0.0:8089
	at com.github.tomakehurst.wiremock.WireMockServer.start(WireMockServer.java:159)
	at example.fernhollow.payments.it.MockAcquirer.start(MockAcquirer.java:{L33})
	at example.fernhollow.payments.it.AcquirerFallbackIT.setUp(AcquirerFallbackIT.java:{L41})
Caused by: java.net.BindException: Address already in use
	at java.base/sun.nio.ch.Net.bind0(Native Method)
	... {21-44} more"""),
            Voice("jenkins", 0.12, "payments-it » RefundIT.refundsPartially", "java.net.BindException: Address already in use (port 8089)", "java.net.BindException", """java.net.BindException: Address already in use
	at java.base/sun.nio.ch.Net.bind0(Native Method)
	at com.github.tomakehurst.wiremock.WireMockServer.start(WireMockServer.java:159)
	at example.fernhollow.payments.it.MockAcquirer.start(MockAcquirer.java:{L33})
	at example.fernhollow.payments.it.RefundIT.setUp(RefundIT.java:{L29})"""),
        ), rhythm="office", repairs=(Repair(0.82, "Let the mock choose a free port", "code_fix", "low", True),), environment="ci"),
    Cause(
        "npm-mirror-resets", "check", "mobile-api", "p4", "The package mirror drops long downloads", 2.5, 3.2, (
            Voice("github_actions", 0.88, "build / install dependencies", "npm error code ECONNRESET\nnpm error network request to https://npm.mirror.fernhollow.example/{typescript|next|@types%2fnode|sharp|esbuild} failed, reason: read ECONNRESET\nnpm error network This is a problem related to network connectivity.", "ECONNRESET"),
            Voice("github_actions", 0.12, "build / install dependencies", "npm error code ETIMEDOUT\nnpm error errno ETIMEDOUT\nnpm error network request to https://npm.mirror.fernhollow.example/{typescript|next|@types%2fnode|sharp|esbuild} failed, reason: connect ETIMEDOUT {ip}:443", "ETIMEDOUT", service="storefront-web"),
        ), rhythm="office", born=0.14, grows=1.6, repairs=(Repair(0.95, "Cache node_modules by lock file", "config_change", "low", True),), environment="ci"),
    Cause(
        "image-pull-limit", "check", "pricing", "p4", "Base images are pulled without signing in", 1.9, 3.2, (
            Voice("github_actions", 0.88, "build / docker build", "#5 ERROR: failed to do request: 429 Too Many Requests\ntoomanyrequests: You have reached your pull rate limit as an unauthenticated user", "toomanyrequests"),
            Voice("github_actions", 0.12, "build / docker build", "failed to solve: golang:1.25-alpine: failed to resolve source metadata: toomanyrequests: You have reached your pull rate limit", "toomanyrequests", service="inventory"),
        ), rhythm="office", ends=0.6, repairs=(Repair(0.52, "Pull base images through our own cache", "config_change", "low", True),), environment="ci"),
    Cause(
        "inventory-data-race", "check", "inventory", "p3", "The reservation cache is read while it is refreshed", 2.6, 1.8, (
            Voice("github_actions", 1.0, "test / go test -race ./internal/reserve", "WARNING: DATA RACE\nRead at 0x{hex12} by goroutine {20-900}\n--- FAIL: TestCacheRefresh (0.{10-99}s)\n    testing.go:1490: race detected during execution of test", "data race", """WARNING: DATA RACE
Read at 0x{hex12} by goroutine {20-900}:
  fernhollow.example/inventory/internal/reserve.(*Cache).Get()
      /src/internal/reserve/cache.go:{L52} +0x{hex3}
Previous write at 0x{hex12} by goroutine {20-90}:
  fernhollow.example/inventory/internal/reserve.(*Cache).refresh()
      /src/internal/reserve/cache.go:{L88} +0x{hex3}"""),
        ), rhythm="office", born=0.48, repairs=(Repair(0.79, "Swap the cache map behind an atomic pointer", "code_fix", "low", True),), environment="ci"),
    Cause(
        "routing-month-end-test", "check", "delivery-routing", "p4", "A test adds one month to today", 1.1, 2.8, (
            Voice("github_actions", 1.0, "test / tests/slots/test_publish.py::test_publishes_four_weeks_ahead", "ValueError: day is out of range for month", "ValueError", """tests/slots/test_publish.py:{L39}: in test_publishes_four_weeks_ahead
    last = publish(store, until=today.replace(month=today.month % 12 + 1))
E   ValueError: day is out of range for month"""),
        ), rhythm="month_end", environment="ci"),
    Cause(
        "dbt-duplicate-orders", "check", "warehouse-etl", "p2", "The incremental load takes orders twice when a run is repeated", 1.8, 1.7, (
            Voice("dbt_cloud", 0.9, "Failure in test unique_fct_orders_order_id (models/marts/orders/_orders.yml)", "Got {3-420} results, configured to fail if != 0\ncompiled code at target/compiled/fernhollow/models/marts/orders/_orders.yml/unique_fct_orders_order_id.sql", "dbt test failure"),
            Voice("jira", 0.1, "Revenue in the Monday dashboard is {2-9}% above the ledger", "Looks like orders of {date} are counted twice. Finance noticed first, again."),
        ), rhythm="night", repairs=(
            Repair(0.34, "Full refresh of fct_orders every Sunday", "process", "low", False, "Cleans up after the fact."),
            Repair(0.85, "Merge on order_id with a look-back of three days", "code_fix", "medium", True),
        ), environment="warehouse"),
    Cause(
        "dbt-orphan-stores", "check", "warehouse-etl", "p3", "New stores arrive a day after their first orders", 2.0, 1.6, (
            Voice("dbt_cloud", 1.0, "Failure in test relationships_fct_orders_store_id__store_id__ref_dim_stores_ (models/marts/orders/_orders.yml)", "Got {1-90} results, configured to fail if != 0\ncompiled code at target/compiled/fernhollow/models/marts/orders/_orders.yml/relationships_fct_orders_store_id.sql", "dbt test failure"),
        ), rhythm="night", born=0.36, environment="warehouse"),
    Cause(
        "dbt-stale-events", "check", "warehouse-etl", "p3", "The click stream export stops when its token expires", 1.8, 2.2, (
            Voice("dbt_cloud", 0.88, "ERROR STALE freshness of clickstream.page_views", "max_loaded_at {13-70} h ago, error_after 12 h", "source freshness"),
            Voice("fivetran", 0.12, "Sync of clickstream failed: 401 token expired", "Connector clickstream_s3: ExpiredToken: The provided token has expired. Rows loaded: 0.", "ExpiredToken"),
        ), rhythm="night", born=0.6, grows=1.8, environment="warehouse"),
    Cause(
        "agent-disk-full", "check", "orders", "p3", "Old workspaces fill the build agents", 1.5, 3.0, (
            Voice("jenkins", 0.88, "orders-build » package", "ERROR: Failed to write /var/jenkins/workspace/orders-build@{2-6}/target/orders-{version}.jar: No space left on device\nAgent: linux-{3|5|7|8}", "java.io.IOException"),
            Voice("jenkins", 0.12, "checkout-build » unit tests", "java.io.IOException: No space left on device\n\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)\nAgent: linux-{3|5|7|8}", "java.io.IOException", service="checkout"),
        ), rhythm="office", grows=1.7, repairs=(Repair(0.4, "Delete workspaces older than three days", "process", "low", False, "Misses the Docker layers, which are most of it."),), environment="ci"),
    Cause(
        "gradle-metaspace", "check", "catalog-search", "p4", "The Gradle daemon keeps the class loaders of old builds", 2.0, 1.9, (
            Voice("jenkins", 1.0, "catalog-search-build » compileKotlin", "Execution failed for task ':index:compileKotlin'.\n> Not enough memory to run compilation. java.lang.OutOfMemoryError: Metaspace\nDaemon {hex8} will be stopped at the end of the build after running out of JVM Metaspace", "java.lang.OutOfMemoryError", """java.lang.OutOfMemoryError: Metaspace
	at java.base/java.lang.ClassLoader.defineClass1(Native Method)
	at org.jetbrains.kotlin.daemon.CompileServiceImpl.compile(CompileServiceImpl.kt:1603)
	at org.gradle.internal.classloader.VisitableURLClassLoader.findClass(VisitableURLClassLoader.java:186)"""),
        ), rhythm="office", born=0.06, ends=0.85, repairs=(Repair(0.6, "Metaspace of 1 GiB and a fresh daemon every night", "config_change", "low", True),), environment="ci"),
    Cause(
        "price-card-snapshot", "check", "storefront-web", "p4", "Snapshots hold a date and the font of the machine", 2.9, 2.2, (
            Voice("github_actions", 1.0, "unit / PriceCard › shows the offer", "Error: Snapshot `PriceCard > shows the offer 1` mismatched", "AssertionError", """Error: Snapshot `PriceCard > shows the offer 1` mismatched

- Expected
+ Received

-   Until {date}
+   Until {date2}

 ❯ src/features/prices/PriceCard.test.tsx:{L18}:31"""),
        ), rhythm="office", born=0.55, grows=2.0, environment="ci"),
    Cause(
        "terraform-state-lock", "check", "edge-gateway", "p3", "Cancelled plans leave their lock behind", 1.7, 2.2, (
            Voice("github_actions", 1.0, "infra / terraform plan ({shop|supply|data})", "Error: Error acquiring the state lock\n\nError message: operation error DynamoDB: PutItem, ConditionalCheckFailedException: The conditional request failed\nLock Info:\n  ID:        {uuid}\n  Operation: OperationTypePlan\n  Who:       runner@{node}", "state lock"),
        ), rhythm="office", born=0.4, repairs=(Repair(0.74, "One plan at a time per workspace, and unlock on cancel", "process", "low", True),), environment="ci"),
    Cause(
        "arm-runner-lost", "check", "accounts", "p4", "The new ARM runners are withdrawn in the middle of a job", 4.2, 2.4, (
            Voice("github_actions", 0.88, "build / image (linux/arm64)", "The self-hosted runner arm-{2-19} lost communication with the server. Verify the machine is running and has a healthy network connection.", "runner lost"),
            Voice("github_actions", 0.12, "build / image (linux/arm64)", "The runner has received a shutdown signal. This can happen when the runner service is stopped, or a manually started runner is canceled.", "runner lost", service="inventory"),
        ), rhythm="office", born=0.88, grows=1.5, environment="ci"),
)
