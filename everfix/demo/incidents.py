"""The planted causes that wake people up: saturation, dependencies, capacity. Data only."""

from __future__ import annotations

from everfix.demo.causes import Cause, Repair, Voice

# ruff: noqa: E501 - a table of texts: one text, one line
# fmt: off

HIKARI = """org.springframework.transaction.CannotCreateTransactionException: Could not open JPA EntityManager for transaction
	at org.springframework.orm.jpa.JpaTransactionManager.doBegin(JpaTransactionManager.java:466)
	at org.springframework.transaction.support.AbstractPlatformTransactionManager.startTransaction(AbstractPlatformTransactionManager.java:531)
	at example.fernhollow.orders.refund.RefundService.open(RefundService.java:{L88})
	at example.fernhollow.orders.refund.RefundController.create(RefundController.java:{L54})
	at java.base/java.lang.Thread.run(Thread.java:1583)
Caused by: java.sql.SQLTransientConnectionException: orders-db - Connection is not available, request timed out after {30000-30090}ms \
(total=20, active=20, idle=0, waiting={4-71})
	at com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:686)
	at com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:179)
	... {38-61} more"""

PSP = """java.net.http.HttpTimeoutException: request timed out
	at java.net.http/jdk.internal.net.http.HttpClientImpl.send(HttpClientImpl.java:950)
	at example.fernhollow.payments.psp.PspClient.authorise(PspClient.java:{L131})
	at example.fernhollow.payments.AuthorisationService.authorise(AuthorisationService.java:{L77})
	at example.fernhollow.payments.api.PaymentResource.post(PaymentResource.java:{L49})"""

LOCKS = """goroutine {200-99000} [running]:
runtime/debug.Stack()
	/usr/local/go/src/runtime/debug/stack.go:26 +0x5e
fernhollow.example/inventory/internal/reserve.(*Store).Hold(0x{hex12}, {0x{hex12}, 0x{hex12}})
	/src/internal/reserve/store.go:{L142} +0x{hex3}
fernhollow.example/inventory/internal/reserve.(*Service).Reserve(0x{hex12})
	/src/internal/reserve/service.go:{L67} +0x{hex3}
fernhollow.example/inventory/internal/rpc.(*Server).ReserveItems(0x{hex12})
	/src/internal/rpc/server.go:{L203} +0x{hex3}"""

MATRIX = """Traceback (most recent call last):
  File "/app/routing/worker.py", line {L91}, in run
    plan = solve(wave, matrix=self.matrix(wave.stops))
  File "/app/routing/matrix.py", line {L48}, in matrix
    return np.full((n, n, len(self.profiles)), np.inf, dtype=np.float64)
numpy._core._exceptions._ArrayMemoryError: Unable to allocate {2|3|4|5}.{1-9} GiB for an array with shape ({11000-16000}, {11000-16000}, 3) and data type float64"""

SESSIONS = """redis: READONLY You can't write against a read only replica.
goroutine {200-99000} [running]:
fernhollow.example/accounts/internal/session.(*Store).Save(0x{hex12}, {0x{hex12}, 0x{hex12}})
	/src/internal/session/store.go:{L58} +0x{hex3}
fernhollow.example/accounts/internal/login.(*Handler).finish(0x{hex12})
	/src/internal/login/handler.go:{L171} +0x{hex3}"""

CAUSES = (
    Cause(
        "orders-db-pool-leak", "incident", "orders", "p2", "The refund path keeps its database connection when the payment call fails",
        1.3, 3.1, (
            Voice("pagerduty", 0.45, "orders: error rate {6-38}% for 5 min (threshold 5%) in {region}",
                  "[FIRING] OrdersHighErrorRate\nHikariPool-orders-db exhausted: active=20 idle=0 waiting={4-71}\nPOST /refunds and POST /orders answer 500 after 30 s\n"
                  "Pod: {pod}\nRunbook: https://runbooks.fernhollow.example/orders/error-rate", "OrdersHighErrorRate"),
            Voice("sentry", 0.47, "SQLTransientConnectionException: orders-db - Connection is not available, request timed out after {30000-30090}ms",
                  "orders-db - Connection is not available, request timed out after {30000-30090}ms (total=20, active=20, idle=0, waiting={4-71})",
                  "java.sql.SQLTransientConnectionException", HIKARI,
                  wraps="jakarta.servlet.ServletException: Request processing failed: org.springframework.transaction.CannotCreateTransactionException"),
            Voice("sentry", 0.08, "CannotCreateTransactionException: Could not open JPA EntityManager for transaction",
                  "Could not open JPA EntityManager for transaction (pool orders-db)", "org.springframework.transaction.CannotCreateTransactionException", HIKARI),
        ), born=0.08, grows=2.2,
        repairs=(
            Repair(0.41, "Raise the orders-db pool from 20 to 40 connections", "config_change", "low", False, "More head room until we know why connections pile up."),
            Repair(0.88, "Close the refund transaction before calling payments", "code_fix", "medium", True,
                   "RefundService held its connection across the PSP call; a failing call leaked it. Now try-with-resources and no call inside the transaction."),
        )),
    Cause(
        "inventory-lock-waits", "incident", "inventory", "p2", "The nightly recount locks stock rows in another order than reservations do",
        1.5, 2.6, (
            Voice("datadog", 0.5, "[Triggered] inventory p99 latency above 4 s on reserve_items ({region})",
                  "p99 of rpc ReserveItems over the last 10 min was {4-14}.{0-9} s. Lock waits on inventory-db: {12-180}. Longest blocked query: UPDATE stock SET held = held + $1 WHERE sku = $2",
                  "latency.p99"),
            Voice("sentry", 0.5, "timeout: context deadline exceeded (SELECT … FOR UPDATE stock)",
                  "reserve: hold sku {sku} in store {store}: timeout: context deadline exceeded\nSQLSTATE 57014 canceling statement due to user request",
                  "pgconn.Timeout", LOCKS, wraps="rpc error: code = DeadlineExceeded desc = reserve items"),
        ), rhythm="night", grows=1.5,
        repairs=(Repair(0.68, "Recount in the reservations' lock order, 500 rows a batch", "code_fix", "medium", True, "Both sides now lock by ascending sku; batches keep the waits short."),)),
    Cause(
        "psp-slow-authorisations", "incident", "payments", "p1", "The payment provider answers slowly and our time-out is longer than the shop's patience",
        0.8, 3.4, (
            Voice("pagerduty", 0.55, "Payment authorisation success rate {61-88}% (SLO 97%)",
                  "PSP latency p95 {9-31} s in {region}; {12-340} authorisations timed out in 10 min.\nCard and wallet affected, invoice is not.\nStatus page of the provider: {no incident|degraded performance|investigating}", "PaymentSuccessRateLow"),
            Voice("sentry", 0.35, "HttpTimeoutException: request timed out POST /v2/authorisations", "PSP did not answer within 20000 ms for payment {uuid} (attempt {1-3} of 3)",
                  "java.net.http.HttpTimeoutException", PSP, wraps="example.fernhollow.payments.PaymentUnavailableException: authorisation {uuid} abandoned"),
            Voice("jira", 0.10, 'Customers stuck on "Confirming your payment" ({city} and others)',
                  'Support has {7-60} contacts since {clock}. The spinner stays for about half a minute, then "something went wrong". Some pay twice. Correlates with slow answers of the card provider.'),
        ), rhythm="load",
        repairs=(Repair(0.35, "Circuit breaker and 6 s budget for PSP calls", "code_fix", "high", False, "Fails over to the second acquirer after five slow answers."),)),
    Cause(
        "search-heap-pressure", "incident", "catalog-search", "p2", "Facet queries on long tails of attributes fill the heap of the search nodes",
        1.7, 2.4, (
            Voice("opsgenie", 0.88, "catalog-search: circuit_breaking_exception on {search-data-0|search-data-1|search-data-2}",
                  "[parent] Data too large, data for [<http_request>] would be [{16100-16990}mb], which is larger than the limit of [15564mb]\nJVM heap {94-99}%, old GC {3-17} s. Search falls back to cached results.", "SearchCircuitBreaker"),
            Voice("sentry", 0.12, "circuit_breaking_exception: [parent] Data too large", "[parent] Data too large, data for [<reduce_aggs>] would be [{16100-16990}mb], limit of [15564mb]",
                  "org.elasticsearch.ElasticsearchStatusException", """org.elasticsearch.ElasticsearchStatusException: Elasticsearch exception [type=circuit_breaking_exception, reason=[parent] Data too large]
	at org.elasticsearch.rest.BytesRestResponse.errorFromXContent(BytesRestResponse.java:181)
	at example.fernhollow.search.facets.FacetQuery.run(FacetQuery.java:{L112})
	at example.fernhollow.search.SearchService.search(SearchService.java:{L64})
	at example.fernhollow.search.api.SearchResource.get(SearchResource.java:{L38})"""),
        ), born=0.22, grows=2.4, repairs=(Repair(0.78, "Cap facet buckets at 200 and cache them per category", "code_fix", "medium", True),)),
    Cause(
        "notifications-consumer-lag", "incident", "notifications", "p3", "One slow template render blocks a whole partition",
        1.9, 2.0, (
            Voice("prometheus_alertmanager", 0.9, "KafkaConsumerLag notifications-mailer above {20|40|80}k messages",
                  "Consumer group notifications-mailer is {21000-164000} messages behind on order-events (partition {0-11}). Oldest message: {14-96} min.", "KafkaConsumerLag"),
            Voice("jira", 0.1, "Order confirmations arrive {40-95} minutes late", "Reported by care since {clock}. Mails do arrive in the end. Affects orders around the evening peak."),
        ), rhythm="load", repairs=(Repair(0.9, "Render receipts outside the consumer loop", "code_fix", "medium", True),)),
    Cause(
        "recommendations-oom", "incident", "recommendations", "p3", "The model cache keeps every version it ever loaded",
        2.0, 1.7, (
            Voice("datadog", 0.88, "Pod {pod} of recommendations OOMKilled (exit code 137)",
                  "Container api in pod {pod} was killed: memory limit 6Gi, working set {5.91|5.96|5.99}Gi. Restarts in 24 h: {2-19}. Uptime before the kill: {9-70} h.", "OOMKilled"),
            Voice("sentry", 0.12, "MemoryError while loading model {2026w12|2026w18|2026w25|2026w31|2026w40}", "cannot load ranker into cache ({9-31} models resident)", "MemoryError", """Traceback (most recent call last):
  File "/app/recs/serving/cache.py", line {L73}, in get
    model = self._load(version)
  File "/app/recs/serving/cache.py", line {L96}, in _load
    return joblib.load(self.path(version), mmap_mode=None)
MemoryError"""),
        ), rhythm="flat", born=0.12, grows=1.8,
        repairs=(
            Repair(0.38, "Raise the memory limit of recommendations to 8Gi", "config_change", "low", False),
            Repair(0.94, "Keep at most two models in the cache", "code_fix", "low", True, "LRU of two, with the file mapped instead of copied."),
        )),
    Cause(
        "routing-matrix-oom", "incident", "delivery-routing", "p2", "Large waves build a dense distance matrix",
        1.6, 2.0, (
            Voice("datadog", 0.88, "Pod {pod} of delivery-routing OOMKilled (exit code 137)",
                  "Container worker in pod {pod} was killed: memory limit 12Gi. Wave {wave} had {11000-16000} stops. Waves not planned by 05:30 are driven by hand.", "OOMKilled"),
            Voice("sentry", 0.12, "_ArrayMemoryError: Unable to allocate {2|3|4|5}.{1-9} GiB for an array", "wave {wave}: Unable to allocate array for {11000-16000} stops", "numpy._core._exceptions._ArrayMemoryError", MATRIX),
        ), rhythm="night", born=0.35, grows=2.6),
    Cause(
        "session-redis-failover", "incident", "accounts", "p1", "After a failover the session client keeps writing to the old primary",
        0.22, 5.0, (
            Voice("pagerduty", 0.5, "Login failures {40-97}% in {region}: sessions cannot be written",
                  "accounts returns 503 on POST /session. Redis sentinel switched primary {2-9} min ago, clients still write to the replica. Restarting the pods helps.", "LoginFailureRate"),
            Voice("sentry", 0.5, "READONLY You can't write against a read only replica.", "session save failed for user {user}: READONLY You can't write against a read only replica.", "redis.ReplyError", SESSIONS),
        ), rhythm="flat"),
    Cause(
        "edge-rollout-503", "incident", "edge-gateway", "p2", "Pods are taken out of rotation after they stop answering, not before",
        1.9, 2.2, (
            Voice("prometheus_alertmanager", 0.88, "EdgeUpstream5xx: {checkout|orders|pricing|mobile-api} above 2% for 3 min",
                  "upstream connect error or disconnect/reset before headers. reset reason: {connection termination|connection failure}. {120-4100} responses 503 during a rollout.", "EdgeUpstream5xx"),
            Voice("pagerduty", 0.12, "503 spike at the edge while a deploy is running ({region})", "{120-4100} × 503 UC in {3-9} min, all during a rolling update. Recovers by itself.", "EdgeUpstream5xx"),
        ), rhythm="office", repairs=(Repair(0.74, "preStop sleep of 15 s and readiness gate on all services", "config_change", "low", True, "Endpoints leave the load balancer before the process stops."),)),
    Cause(
        "ledger-wal-disk", "incident", "ledger", "p2", "A forgotten replication slot keeps the write-ahead log",
        0.9, 2.0, (
            Voice("prometheus_alertmanager", 0.88, "Disk of ledger-db-{0|1} predicted full in {2-9} h", "/var/lib/postgresql {86-97}% used, pg_wal {140-410} GiB. Slot bi_extract inactive for {2-30} d retains the log.", "DiskWillFill"),
            Voice("opsgenie", 0.12, 'ledger-db-{0|1}: PANIC could not write to file "pg_wal/xlogtemp.{100-9999}": No space left on device', "Database shut down. Postings queue up in Kafka. Failover to ledger-db-1 started {clock}.", "PANIC"),
        ), rhythm="flat", born=0.5, grows=1.6, repairs=(Repair(0.88, "Drop the slot bi_extract and cap max_slot_wal_keep_size", "config_change", "low", True),)),
    Cause(
        "image-cert-renewal", "incident", "edge-gateway", "p2", "The certificate of the image host is renewed by hand",
        0.35, 2.4, (
            Voice("opsgenie", 0.88, "TLS certificate of img.fernhollow.example expires in {1-6} days", "Issuer R11, serial {hex12}. cert-manager: Failed to renew: ACME order {hex8} is invalid (dns-01 propagation).", "CertExpiresSoon"),
            Voice("datadog", 0.12, "Synthetic check img.fernhollow.example failed from {region}: certificate has expired", "SSL error: certificate verify failed: certificate has expired ({0-40} min ago)", "certificate has expired"),
        ), rhythm="flat"),
    Cause(
        "cluster-dns-drops", "incident", "mobile-api", "p2", "Five-second pauses: the node's connection table drops parallel DNS questions",
        1.9, 2.8, (
            Voice("sentry", 0.88, "Error: getaddrinfo EAI_AGAIN {orders|pricing|accounts|inventory}.svc.cluster.local", "getaddrinfo EAI_AGAIN while calling {GET|POST} /internal/{orders|prices|me|stock} from {pod}", "EAI_AGAIN", """Error: getaddrinfo EAI_AGAIN {orders|pricing|accounts|inventory}.svc.cluster.local
    at GetAddrInfoReqWrap.onlookupall [as oncomplete] (node:dns:122:26)
    at async UpstreamPool.request (/srv/mobile-api/dist/upstream/pool.js:{L88}:22)
    at async homeFeed (/srv/mobile-api/dist/routes/home.js:{L41}:18)"""),
            Voice("prometheus_alertmanager", 0.12, "CoreDNSLatencyHigh: p99 above 4 s on node {node}", "conntrack table of {node} {93-99}% full; insert_failed rising. Affected namespaces: shop, supply.", "CoreDNSLatencyHigh"),
        ), born=0.28, repairs=(
            Repair(0.5, "Raise nf_conntrack_max on all nodes", "config_change", "low", False, "Doubled the table; the race itself is still there."),
            Repair(0.82, "Run a node-local DNS cache", "config_change", "medium", True, "Questions no longer cross conntrack."),
        )),
    Cause(
        "geocoder-rate-limit", "incident", "delivery-routing", "p3", "Address checks of the import and of the shop share one quota",
        1.9, 2.5, (
            Voice("rollbar", 0.85, "GeocodeQuotaError: 429 Too Many Requests", "maps provider answered 429, retry-after {20-60} s, bucket fernhollow-prod, {40-900} addresses waiting", "GeocodeQuotaError", """Traceback (most recent call last):
  File "/app/routing/geocode/client.py", line {L64}, in lookup
    response.raise_for_status()
  File "/usr/local/lib/python3.12/site-packages/httpx/_models.py", line 829, in raise_for_status
    raise HTTPStatusError(message, request=request, response=self)
httpx.HTTPStatusError: Client error '429 Too Many Requests' for url 'https://maps.example/geocode?q={zip}+{city}'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/routing/addresses.py", line {L37}, in check
    point = self.client.lookup(address)
  File "/app/routing/geocode/client.py", line {L69}, in lookup
    raise GeocodeQuotaError(retry_after) from error
routing.geocode.client.GeocodeQuotaError: retry after {20-60} s"""),
            Voice("jira", 0.15, 'New addresses in {city} cannot be saved: "we could not check this address"', "Care can save them after a few minutes. Happens mostly when the partner import runs."),
        ), born=0.4, repairs=(Repair(0.87, "Own quota and nightly slot for the partner import", "config_change", "low", True),)),
    Cause(
        "settlement-overrun", "incident", "ledger", "p3", "The settlement run grows with the year and meets the backup",
        1.0, 1.5, (
            Voice("jenkins", 0.55, "ledger-settlement-nightly did not finish by 06:00", "Step 4/7 'match card payouts' at {41-93}% after {3|4|5} h {0-59} min. Backup of ledger-db started meanwhile; reads {3-8}x slower.", "JobOverrun"),
            Voice("pagerduty", 0.45, "Settlement file not delivered to finance by 06:30", "SFTP drop /settlement/{date}.csv is missing. Job ledger-settlement-nightly is still running.", "SettlementLate"),
        ), rhythm="month_end", grows=2.5),
    Cause(
        "sms-provider-rejects", "incident", "notifications", "p3", "The SMS provider refuses our sender name in some countries",
        1.3, 2.2, (
            Voice("datadog", 0.88, "SMS delivery rate to {+31|+32|+46|+43|+351} below 80%", "{120-900} of {1200-4000} messages rejected with code 30034 (sender id not registered)", "SmsDeliveryRate"),
            Voice("rollbar", 0.12, "SmsRejected: 30034 sender id not registered for {NL|BE|SE|AT|PT}", "delivery code {order} not sent to {+31|+32|+46|+43|+351}*******{10-99}", "SmsRejected", """Traceback (most recent call last):
  File "/app/notify/channels/sms.py", line {L52}, in send
    self._check(reply)
  File "/app/notify/channels/sms.py", line {L71}, in _check
    raise SmsRejected(reply["code"], reply["message"])
notify.channels.sms.SmsRejected: 30034 sender id not registered"""),
        ), born=0.15, ends=0.62),
    Cause(
        "orders-poison-message", "incident", "orders", "p2", "An order without a slot stops its partition until somebody skips it",
        1.6, 2.6, (
            Voice("prometheus_alertmanager", 0.88, "Dead letters on orders.fulfilment.dlq: {12-480} in 15 min", "Consumer orders-fulfilment retries offset {100000-999999} of partition {0-23} without end.", "DeadLetters"),
            Voice("sentry", 0.12, "IllegalArgumentException: slot must not be null", "cannot plan order {order}: slot must not be null", "java.lang.IllegalArgumentException", """org.springframework.kafka.listener.ListenerExecutionFailedException: Listener method could not be invoked with the incoming message
	at org.springframework.kafka.listener.adapter.MessagingMessageListenerAdapter.invokeHandler(MessagingMessageListenerAdapter.java:417)
Caused by: java.lang.IllegalArgumentException: slot must not be null
	at example.fernhollow.orders.fulfilment.Planner.plan(Planner.java:{L97})
	at example.fernhollow.orders.fulfilment.FulfilmentListener.on(FulfilmentListener.java:{L41})
	... {18-29} more"""),
        ), born=0.7, grows=1.7),
    Cause(
        "price-cache-stampede", "incident", "pricing", "p2", "All price lists expire in the same minute and are rebuilt at once",
        3.4, 2.4, (
            Voice("pagerduty", 0.6, "pricing p99 {3-11}.{0-9} s, {checkout|storefront-web} falls back to yesterday's prices",
                  "CPU of pricing {91-100}% in {region} since {clock}. Redis hit rate fell from 99% to {4-38}% within a minute; {12-60} price lists being built.", "PricingLatencyHigh"),
            Voice("sentry", 0.4, "context deadline exceeded: build price list of store {store}", "quote: build price list of store {store}: context deadline exceeded after 3s", "context.deadlineExceededError", """context deadline exceeded
goroutine {200-99000} [running]:
fernhollow.example/pricing/internal/pricelist.(*Builder).Build(0x{hex12}, {0x{hex12}, 0x{hex3}})
	/src/internal/pricelist/builder.go:{L118} +0x{hex3}
fernhollow.example/pricing/internal/quote.(*Engine).Quote(0x{hex12})
	/src/internal/quote/engine.go:{L96} +0x{hex3}"""),
        ), born=0.9, grows=1.6),
)
