"""The planted causes that sit in the code: wrong assumptions, races, edge cases. Data only."""

from __future__ import annotations

from everfix.demo.causes import Cause, Repair, Voice

# ruff: noqa: E501 - a table of texts: one text, one line
# fmt: off

CAUSES = (
    Cause(
        "basket-undefined-lines", "defect", "storefront-web", "p3", "A basket from an old tab has no lines", 3.4, 2.5, (
            Voice("sentry", 0.88, "TypeError: Cannot read properties of undefined (reading 'lines')", "Cannot read properties of undefined (reading 'lines')", "TypeError", """TypeError: Cannot read properties of undefined (reading 'lines')
    at basketTotal (./src/features/basket/total.ts:{L31}:24)
    at BasketSummary (./src/features/basket/BasketSummary.tsx:{L58}:17)
    at renderWithHooks (./node_modules/react-dom/cjs/react-dom-client.production.js:3904:20)"""),
            Voice("sentry", 0.086, "TypeError: undefined is not an object (evaluating 'e.basket.lines')", "undefined is not an object (evaluating 'e.basket.lines')", "TypeError", """TypeError: undefined is not an object (evaluating 'e.basket.lines')
basketTotal@./src/features/basket/total.ts:{L31}:24
BasketSummary@./src/features/basket/BasketSummary.tsx:{L58}:17"""),
            Voice("jira", 0.034, "Basket page stays white after coming back to an old tab", "Seen on {browser}. Reload helps. Happens when the tab was open since before the last release."),
        ), repairs=(Repair(0.962, "Migrate stored baskets on read", "code_fix", "low", True, "total.ts reads baskets of schema 1 and 2."),)),
    Cause(
        "chunk-load-after-deploy", "defect", "storefront-web", "p4", "Old tabs ask for script chunks that the last deploy deleted", 3.2, 2.7, (
            Voice("sentry", 0.88, "ChunkLoadError: Loading chunk {1200-9900} failed.", "Loading chunk {1200-9900} failed.\n(error: https://cdn.fernhollow.example/_next/static/chunks/{1200-9900}.{hex8}.js)", "ChunkLoadError", """ChunkLoadError: Loading chunk {1200-9900} failed.
(error: https://cdn.fernhollow.example/_next/static/chunks/{1200-9900}.{hex8}.js)
    at __webpack_require__.f.j (https://cdn.fernhollow.example/_next/static/chunks/webpack-{hex8}.js:1:{2000-9000})
    at Function.__webpack_require__.e (https://cdn.fernhollow.example/_next/static/chunks/webpack-{hex8}.js:1:{1000-1900})
    at loadRoute (https://cdn.fernhollow.example/_next/static/chunks/main-{hex8}.js:1:{10000-90000})"""),
            Voice("sentry", 0.12, "TypeError: Failed to fetch dynamically imported module: https://cdn.fernhollow.example/assets/{checkout|account|recipe}-{hex8}.js", "Failed to fetch dynamically imported module", "TypeError"),
        ), rhythm="office", born=0.05, repairs=(Repair(0.975, "Keep the chunks of the last five releases on the CDN", "config_change", "low", True),)),
    Cause(
        "voucher-rounding", "defect", "checkout", "p2", "Vouchers are rounded per line in the shop and per basket in checkout", 2.0, 1.9, (
            Voice("sentry", 0.88, "TotalMismatchException: client total {20-190}.{10-99} differs from server total by 0.01", "basket {uuid}: client total differs from server total by 0.01 EUR, voucher {voucher}", "example.fernhollow.checkout.TotalMismatchException", """example.fernhollow.checkout.TotalMismatchException: client total differs from server total by 0.01
	at example.fernhollow.checkout.total.TotalGuard.verify(TotalGuard.java:{L66})
	at example.fernhollow.checkout.CheckoutService.place(CheckoutService.java:{L142})
	at example.fernhollow.checkout.api.CheckoutResource.place(CheckoutResource.java:{L71})""", wraps="jakarta.ws.rs.WebApplicationException: HTTP 409 Conflict"),
            Voice("jira", 0.12, 'Cannot order with voucher {voucher}: "the price has changed"', "Customer from {city} tried {2-6} times. Basket with {2-5} half-price items. One cent off again, I believe we had this before.", "TotalMismatch"),
        ), born=0.18, repairs=(
            Repair(0.33, "Tolerate one cent in TotalGuard", "code_fix", "low", False, "Baskets with two vouchers are two cents off."),
            Repair(0.9, "One rounding function for shop and checkout", "code_fix", "medium", True, "Half-even per basket, shared as a package."),
        )),
    Cause(
        "home-feed-null-address", "defect", "mobile-api", "p3", "Guests have no address and the home feed takes it for granted", 2.8, 2.3, (
            Voice("sentry", 1.0, "TypeError: Cannot read properties of null (reading 'postcode')", "Cannot read properties of null (reading 'postcode')", "TypeError", """TypeError: Cannot read properties of null (reading 'postcode')
    at slotsNear (/srv/mobile-api/dist/feed/slots.js:{L27}:34)
    at homeFeed (/srv/mobile-api/dist/routes/home.js:{L63}:25)
    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)"""),
        ), born=0.3, repairs=(Repair(0.84, "Ask for the postcode before showing slots to guests", "code_fix", "low", True),)),
    Cause(
        "tracking-null-slot", "defect", "mobile-api", "p3", "Orders that are moved to another day lose their slot for a moment", 3.6, 2.1, (
            Voice("sentry", 0.85, "TypeError: Cannot read properties of null (reading 'window')", "Cannot read properties of null (reading 'window')", "TypeError", """TypeError: Cannot read properties of null (reading 'window')
    at etaOf (/srv/mobile-api/dist/tracking/eta.js:{L44}:29)
    at trackOrder (/srv/mobile-api/dist/routes/tracking.js:{L36}:15)
    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)"""),
            Voice("jira", 0.15, "App crashes when I look at an order whose delivery was moved", "Order {order}, moved from {date}. Works again after some minutes."),
        ), born=0.57, grows=1.9),
    Cause(
        "token-refresh-race", "defect", "accounts", "p2", "Two tabs refresh the same token and the second one logs the customer out", 2.2, 2.2, (
            Voice("sentry", 0.88, "refresh token reuse detected for family {uuid}", "session: refresh token reuse detected (family {uuid}, {12-900} ms after rotation)", "session.ErrReuse", """session: refresh token reuse detected
goroutine {200-99000} [running]:
fernhollow.example/accounts/internal/token.(*Rotator).Rotate(0x{hex12}, {0x{hex12}, 0x{hex12}})
	/src/internal/token/rotate.go:{L93} +0x{hex3}
fernhollow.example/accounts/internal/login.(*Handler).Refresh(0x{hex12})
	/src/internal/login/refresh.go:{L47} +0x{hex3}"""),
            Voice("jira", 0.12, "Customers are logged out at random", "{3-20} contacts this week, mostly people with several tabs ({browser}). Support tells them to log in again."),
        ), repairs=(
            Repair(0.26, "Lengthen the life of refresh tokens to 30 days", "config_change", "low", False),
            Repair(0.8, "Accept the previous refresh token for 20 s", "code_fix", "medium", True, "Grace period for the token that was just rotated."),
        )),
    Cause(
        "console-stale-ticket", "defect", "support-console", "p4", "Two agents edit the same case", 2.0, 1.9, (
            Voice("bugsnag", 1.0, "ActiveRecord::StaleObjectError: Attempted to update a stale object: Case", "Attempted to update a stale object: Case (id {order}).", "ActiveRecord::StaleObjectError", """app/models/case.rb:{L81}:in 'Case#close!'
app/controllers/cases_controller.rb:{L44}:in 'CasesController#update'
activerecord (8.0.2) lib/active_record/locking/optimistic.rb:108:in 'ActiveRecord::Locking::Optimistic#_update_row'"""),
        ), rhythm="office"),
    Cause(
        "mail-subject-encoding", "defect", "notifications", "p3", "Names with other scripts break the subject line of one template", 2.1, 2.0, (
            Voice("rollbar", 0.88, "UnicodeEncodeError: 'latin-1' codec can't encode character '\\u{0119|0161|03b1|0431|1f96c}' in position {9-31}", "'latin-1' codec can't encode characters in subject of template {order_moved|receipt|gift}", "UnicodeEncodeError", """Traceback (most recent call last):
  File "/app/notify/worker.py", line {L118}, in handle
    message = render(template, order)
  File "/app/notify/mail/render.py", line {L57}, in render
    headers["Subject"] = subject.encode("latin-1")
UnicodeEncodeError: 'latin-1' codec can't encode character in position {9-31}: ordinal not in range(256)""",
                  wraps="celery.exceptions.MaxRetriesExceededError: Can't retry notify.tasks.send[{uuid}]"),
            Voice("jira", 0.12, "No confirmation mail for customers with Polish or Greek names", "{2-9} cases from {Gdańsk|Košice|Malmö}. The order itself is fine."),
        ), repairs=(Repair(0.7, "Use EmailMessage and UTF-8 headers", "code_fix", "low", True),)),
    Cause(
        "pricing-tier-index", "defect", "pricing", "p2", "A promotion without tiers panics the price list", 1.6, 3.0, (
            Voice("sentry", 0.88, "panic: runtime error: index out of range [{0|1|2|3}] with length {0|1|2|3}", "runtime error: index out of range, promotion {voucher}, store {store}", "runtime.boundsError", """panic: runtime error: index out of range [{0|1|2|3}] with length {0|1|2|3}

goroutine {200-99000} [running]:
fernhollow.example/pricing/internal/promo.(*Tiers).At(...)
	/src/internal/promo/tiers.go:{L38}
fernhollow.example/pricing/internal/promo.Apply({0x{hex12}, 0x{hex3}}, 0x{hex12})
	/src/internal/promo/apply.go:{L77} +0x{hex3}
fernhollow.example/pricing/internal/quote.(*Engine).Quote(0x{hex12})
	/src/internal/quote/engine.go:{L129} +0x{hex3}"""),
            Voice("pagerduty", 0.12, "pricing: {3-14} pods restarted in 5 min", "CrashLoopBackOff after publishing promotion {voucher}. Prices are served from cache.", "PodRestarts"),
        ), rhythm="office", born=0.45, repairs=(Repair(0.83, "Refuse promotions without tiers when they are published", "code_fix", "low", True),)),
    Cause(
        "recs-unknown-category", "defect", "recommendations", "p4", "New categories are missing from the encoder until the model is trained again", 2.2, 2.2, (
            Voice("sentry", 1.0, "KeyError: '{plant-based|pet-care|baby-food|zero-waste|bakery-local}'", "unknown category in features of sku {sku}", "KeyError", """Traceback (most recent call last):
  File "/app/recs/serving/api.py", line {L66}, in similar
    vector = features.encode(item)
  File "/app/recs/features/encode.py", line {L34}, in encode
    row[self.columns[item.category]] = 1.0
KeyError: '{plant-based|pet-care|baby-food|zero-waste|bakery-local}'"""),
        ), rhythm="flat", born=0.2, grows=0.5),
    Cause(
        "order-optimistic-lock", "defect", "orders", "p3", "Picking and payment update the same order row", 2.4, 2.3, (
            Voice("sentry", 0.85, "ObjectOptimisticLockingFailureException: Row was updated or deleted by another transaction: Order#{order}", "Row was updated or deleted by another transaction (or unsaved-value mapping was incorrect): [Order#{order}]", "org.springframework.orm.ObjectOptimisticLockingFailureException", """org.springframework.orm.ObjectOptimisticLockingFailureException: Row was updated or deleted by another transaction (or unsaved-value mapping was incorrect): [Order#{order}]
	at org.springframework.orm.jpa.vendor.HibernateJpaDialect.convertHibernateAccessException(HibernateJpaDialect.java:325)
	at example.fernhollow.orders.status.StatusService.advance(StatusService.java:{L104})
	at example.fernhollow.orders.picking.PickingListener.onPicked(PickingListener.java:{L59})"""),
            Voice("jira", 0.15, 'Order {order} stays on "being picked" although it was delivered', "Driver app says delivered. Had to be set by hand. {3-18} of these since Monday."),
        ), grows=1.5, repairs=(Repair(0.5, "Retry the status change three times", "code_fix", "low", False, "Helps when the other side is quick."),)),
    Cause(
        "ledger-empty-sequence", "defect", "ledger", "p3", "Refunds of orders without a payment line cannot be booked", 1.6, 1.8, (
            Voice("sentry", 1.0, "InvalidOperationException: Sequence contains no elements", "booking refund for order {order}: Sequence contains no elements", "System.InvalidOperationException", """System.InvalidOperationException: Sequence contains no elements
   at System.Linq.ThrowHelper.ThrowNoElementsException()
   at System.Linq.Enumerable.First[TSource](IEnumerable`1 source)
   at Fernhollow.Ledger.Booking.RefundBooker.Book(Refund refund) in /src/Booking/RefundBooker.cs:line {L48}
   at Fernhollow.Ledger.Worker.Consume(Message message) in /src/Worker.cs:line {L91}"""),
        ), rhythm="office", born=0.32, ends=0.8),
    Cause(
        "edge-webp-panic", "defect", "edge-gateway", "p3", "Animated pictures from suppliers panic the image resizer", 2.0, 2.8, (
            Voice("sentry", 1.0, "called `Result::unwrap()` on an `Err` value: Unsupported(Animation)", "panic in resize of {sku}.webp: called `Result::unwrap()` on an `Err` value: Unsupported(Animation)", "panic", """thread 'tokio-runtime-worker' panicked at crates/images/src/resize.rs:{L73}:58:
called `Result::unwrap()` on an `Err` value: Unsupported(Animation)
stack backtrace:
   0: rust_begin_unwind
   1: core::panicking::panic_fmt
   2: core::result::unwrap_failed
   3: images::resize::decode
             at ./crates/images/src/resize.rs:{L73}:58
   4: images::handler::serve
             at ./crates/images/src/handler.rs:{L41}:20"""),
        ), born=0.1, ends=0.7, repairs=(Repair(0.45, "Serve the first frame of animated pictures", "code_fix", "low", True),)),
    Cause(
        "slot-clock-change", "defect", "delivery-routing", "p2", "Delivery windows are local times without a zone", 1.0, 2.2, (
            Voice("rollbar", 0.6, "SlotOverlap: slot {6-21}:00-{6-21}:30 of store {store} ends before it begins", "store {store} ({city}): slot ends before it begins on {date}", "SlotOverlap", """Traceback (most recent call last):
  File "/app/routing/slots/publish.py", line {L82}, in publish
    check(slot)
  File "/app/routing/slots/rules.py", line {L29}, in check
    raise SlotOverlap(slot)
routing.slots.rules.SlotOverlap: slot ends before it begins"""),
            Voice("jira", 0.4, "Drivers in {city} come an hour early", "Slots shown to customers and to drivers differ by one hour on {date}. {4-40} deliveries affected.", "SlotOverlap"),
        ), rhythm="month_end"),
    Cause(
        "double-capture", "defect", "payments", "p1", "A retried capture after a lost answer takes the money twice", 0.8, 1.8, (
            Voice("jira", 0.5, "Customer charged twice for order {order}", "Two captures of {20-190}.{10-99} EUR within {2-9} s. Refunded by hand. Idempotency key differs between the two calls.", "DoubleCapture"),
            Voice("sentry", 0.5, "DuplicateCaptureException: capture already settled for payment {uuid}", "second capture within {2-9} s for payment {uuid}", "example.fernhollow.payments.DuplicateCaptureException", """example.fernhollow.payments.DuplicateCaptureException: capture already settled
	at example.fernhollow.payments.capture.CaptureGuard.check(CaptureGuard.java:{L52})
	at example.fernhollow.payments.capture.CaptureService.capture(CaptureService.java:{L88})
	at example.fernhollow.payments.capture.RetryJob.run(RetryJob.java:{L37})"""),
        ), born=0.24, repairs=(Repair(0.77, "Derive the idempotency key from the payment, not from the attempt", "code_fix", "medium", True, "The same key for every retry of one capture."),)),
    Cause(
        "loyalty-ring-nan", "defect", "mobile-api", "p3", "Households without a level divide by zero in the loyalty ring", 4.6, 2.4, (
            Voice("sentry", 0.9, "RangeError: Invalid progress NaN for household {uuid}", "Invalid progress NaN", "RangeError", """RangeError: Invalid progress NaN for household {uuid}
    at ring (/srv/mobile-api/dist/loyalty/ring.js:{L19}:11)
    at loyaltyCard (/srv/mobile-api/dist/loyalty/card.js:{L52}:20)
    at homeFeed (/srv/mobile-api/dist/routes/home.js:{L71}:25)
    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)"""),
            Voice("jira", 0.1, "Start page of the app is empty for new households", "Since the loyalty card is on the start page. {browser} is fine, the app is not."),
        ), born=0.91, grows=1.8),
)
