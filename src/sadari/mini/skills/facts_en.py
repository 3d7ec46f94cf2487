# ruff: noqa: E501 (word lists and patterns read better on one line)
"""English facts: the same shape as `facts_ko`, fewer of them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from sadari.mini.skills import names as n
from sadari.mini.skills.facts_ko import Attribute, _a, _pick


def _list(text: str, low: int = 1, high: int = 3) -> Callable[[Random], str]:
    options = tuple(text.split("|"))

    def draw(r: Random) -> str:
        chosen = r.sample(options, r.randint(low, high))
        return chosen[0] if len(chosen) == 1 else ", ".join(chosen[:-1]) + " and " + chosen[-1]

    return draw


def _hours(r: Random) -> str:
    a, b = r.randint(6, 11), r.randint(13, 22)
    return r.choice(
        (
            f"from {n.clock_en(r, a)} to {n.clock_en(r, b)}",
            f"{a:02d}:00-{b}:00",
            f"between {n.clock_en(r, a)} and {n.clock_en(r, b)} on weekdays",
            f"daily from {n.clock_en(r, a)} until {n.clock_en(r, b)}",
        )
    )


_DAYS = "Mondays|Tuesdays|Wednesdays|Thursdays|Fridays|Saturdays|Sundays|public holidays|the first Monday of the month|New Year's Day|the last Friday of the month|Christmas Day|every second Sunday"
_DOCS = "a photo ID|proof of address|the original receipt|a signed consent form|a bank statement|a copy of the passport|the application form|a doctor's note|the order number|two passport photos|a reference letter|the rental agreement|a student card|a tax certificate"
_WHO = "adults over 18|registered members|students under 26|seniors over 65|full-time employees|residents of the district|gold members|new customers|business customers|children under 12|licensed drivers|groups of ten or more|staff with six months of service|subscribers on the annual plan"
_HOW = "the website|the mobile app|the front desk|a phone call|email|post|the self-service kiosk|the online form|the staff portal|live chat"
_PAY = "credit card|bank transfer|cash|PayPal|gift card|direct debit|mobile payment|company card|reward points"
_TEAM = "the facilities team|human resources|the finance department|customer support|the legal team|the security office|logistics|the quality team|the admissions office|the nursing unit|procurement|the IT help desk"
_MAT = "stainless steel|organic cotton|oak|aluminium|tempered glass|silicone|leather|bamboo|ceramic|brass|recycled plastic|carbon fibre|wool|linen|titanium"
_COLOR = "black|white|navy|sky blue|olive|beige|grey|purple|yellow|silver|pink|brown|orange|mint|cream"
_PEN = "the booking is cancelled automatically|a late fee is charged|the deposit is not returned|access is suspended for 30 days|the request moves to the end of the queue|the account is locked|the points expire|approval has to be obtained again|the next person on the list is invited|a warning is recorded"
_EXC = "opened items|custom orders|sale items|food and drink|special exhibitions|peak-season bookings|remote islands|gift cards|digital content|second-hand goods|group bookings|frozen goods|large appliances"
_REASON = "building repairs|server maintenance|a safety inspection|icy roads|stocktaking|staff training|a system upgrade|a storm warning|a shortage of parts|a film shoot|the warehouse move|rising exchange rates"
_PART = "a battery|a filter|a charger|a remote control|a power cable|a manual|a stand|a cover|a cleaning brush|a spare blade|a carrying case|an adapter"
_STEP = "hold the power button for ten seconds|rinse the filter under water|open the cover on the back|choose Reset in the settings menu|unplug it and wait five minutes|reinstall the app|give the ticket number to support|press the blue button twice|request a password reset link|plug the cable into another port|empty the dust bin and restart|install the latest firmware|sign out and sign in again|clear the cache"
_ACT = "eating|taking photos|smoking|phone calls|bringing pets|using tripods|running|cycling|flying drones|recording sound|lighting fires"

ATTRIBUTES: tuple[Attribute, ...] = (
    _a(
        "fee",
        n.money_en,
        """The {x} costs {v}.
       A fee of {v} applies to the {x}.
       The price of the {x} is {v} per person.
       The {x} is offered at {v}.
       The charge is {v}.""",
        """How much is the {x}?
       What does the {x} cost?
       What is the price of the {x}?
       How much do I have to pay for the {x}?
       {x} price?""",
    ),
    _a(
        "hours",
        _hours,
        """The {x} is open {v}.
       The {x} is available {v}.
       Opening hours of the {x}: {v}.
       The {x} runs {v}.
       Service is provided {v}.""",
        """When is the {x} open?
       What are the hours of the {x}?
       What time does the {x} start?
       Until when can I use the {x}?
       {x} opening times""",
    ),
    _a(
        "closed",
        _pick(_DAYS),
        """The {x} is closed on {v}.
       There is no {x} on {v}.
       The {x} does not operate on {v}.
       It is closed on {v}.""",
        """On which day is the {x} closed?
       When is the {x} not available?
       Which days off does the {x} have?
       Is the {x} ever shut?""",
    ),
    _a(
        "deadline",
        n.date_en,
        """Applications for the {x} close on {v}.
       The {x} must be requested by {v}.
       The deadline for the {x} is {v}.
       Submissions are accepted until {v}.""",
        """By when must I apply for the {x}?
       What is the last day for the {x}?
       When do applications for the {x} end?
       Deadline of the {x}?""",
    ),
    _a(
        "start",
        n.date_en,
        """The {x} starts on {v}.
       The {x} was introduced on {v}.
       The {x} takes effect on {v}.""",
        """When does the {x} begin?
       From which date does the {x} apply?
       What is the start date of the {x}?""",
    ),
    _a(
        "period",
        n.period_en,
        """The {x} is valid for {v}.
       The {x} can be used for up to {v}.
       The {x} lasts {v}.
       It may be kept for {v}.""",
        """How long can I use the {x}?
       For how long is the {x} valid?
       What is the maximum duration of the {x}?
       How long does the {x} last?""",
    ),
    _a(
        "takes",
        n.period_en,
        """The {x} is processed within {v}.
       Requests for the {x} usually take {v}.
       Allow {v} for the {x}.
       Processing takes {v}.""",
        """How long does the {x} take to be done?
       When will my {x} be ready?
       How many days until the {x} is completed?
       What is the waiting time for the {x}?""",
    ),
    _a(
        "where",
        n.spot_en,
        """The {x} is located in {v}.
       You can find the {x} in {v}.
       The {x} takes place in {v}.
       It is located in {v}.""",
        """Where is the {x}?
       Where do I find the {x}?
       Where should I go for the {x}?
       Location of the {x}?""",
    ),
    _a(
        "phone",
        n.phone,
        """For the {x}, call {v}.
       Questions about the {x} are answered at {v}.
       The phone number for the {x} is {v}.
       Call {v} for help.""",
        """Which number do I call about the {x}?
       What is the telephone number for the {x}?
       How can I reach someone about the {x}?
       {x} contact number""",
    ),
    _a(
        "email",
        n.email,
        """Requests about the {x} go to {v}.
       Send the form for the {x} to {v}.
       The email address for the {x} is {v}.""",
        """What is the email address for the {x}?
       Where do I send mail about the {x}?
       Whom do I write to about the {x}?""",
    ),
    _a(
        "documents",
        _list(_DOCS),
        """The {x} requires {v}.
       To request the {x}, please bring {v}.
       Applicants for the {x} must submit {v}.
       Please bring {v}.""",
        """What do I need to bring for the {x}?
       Which documents are needed for the {x}?
       What paperwork does the {x} require?
       What must I submit for the {x}?""",
    ),
    _a(
        "who",
        _pick(_WHO),
        """The {x} is only available to {v}.
       The {x} is open to {v}.
       Only {v} may use the {x}.""",
        """Who can use the {x}?
       Who is eligible for the {x}?
       Is the {x} for everyone?
       Who may apply for the {x}?""",
    ),
    _a(
        "how",
        _list(_HOW, 1, 2),
        """The {x} can be booked through {v}.
       Apply for the {x} via {v}.
       Requests for the {x} are accepted through {v}.""",
        """How do I apply for the {x}?
       How can I book the {x}?
       Where can the {x} be requested?
       How to sign up for the {x}""",
    ),
    _a(
        "pay",
        _list(_PAY),
        """The {x} can be paid by {v}.
       Payment for the {x} is accepted by {v}.
       We accept {v}.""",
        """How can I pay for the {x}?
       Which payment methods does the {x} accept?
       What can I pay with for the {x}?""",
    ),
    _a(
        "team",
        _pick(_TEAM),
        """The {x} is handled by {v}.
       {v} is responsible for the {x}.
       The {x} belongs to {v}.""",
        """Which team handles the {x}?
       Who is in charge of the {x}?
       Which department looks after the {x}?""",
    ),
    _a(
        "person",
        n.person_en,
        """The {x} is managed by {v}.
       {v} leads the {x}.
       The contact person for the {x} is {v}.""",
        """Who manages the {x}?
       What is the name of the person behind the {x}?
       Who leads the {x}?""",
    ),
    _a(
        "limit",
        lambda r: f"{r.randint(1, 60)} {r.choice(('people', 'items', 'books', 'times', 'bags', 'teams', 'tickets', 'requests'))}",
        """The {x} is limited to {v}.
       At most {v} are allowed for the {x}.
       The {x} has a maximum of {v}.""",
        """What is the limit for the {x}?
       How many are allowed for the {x}?
       What is the maximum for the {x}?""",
    ),
    _a(
        "discount",
        n.percent,
        """Members receive {v} off the {x}.
       The {x} comes with a discount of {v}.
       Early bookings of the {x} are {v} cheaper.""",
        """How big is the discount on the {x}?
       How much can I save on the {x}?
       What percentage off is the {x}?""",
    ),
    _a(
        "penalty",
        _pick(_PEN),
        """If the {x} is not used in time, {v}.
       When the rules of the {x} are broken, {v}.
       Otherwise, {v}.""",
        """What happens if I break the rules of the {x}?
       What if I am late with the {x}?
       What are the consequences with the {x}?""",
    ),
    _a(
        "except",
        _list(_EXC, 1, 2),
        """The {x} does not apply to {v}.
       The {x} excludes {v}.
       The {x} is not possible for {v}.""",
        """What is excluded from the {x}?
       For what is the {x} not possible?
       Are there exceptions to the {x}?""",
    ),
    _a(
        "material",
        _list(_MAT, 1, 2),
        """The {x} is made of {v}.
       The body of the {x} consists of {v}.
       It is made of {v}.""",
        """What is the {x} made of?
       Which material is used for the {x}?
       What is the {x} built from?""",
    ),
    _a(
        "color",
        _list(_COLOR),
        """The {x} comes in {v}.
       The {x} is sold in {v}.
       Available colours of the {x} are {v}.""",
        """Which colours does the {x} come in?
       What color options are there for the {x}?
       Can I choose the colour of the {x}?""",
    ),
    _a(
        "weight",
        lambda r: f"{r.randint(1, 90)}{r.choice((' kg', ' g', '.5 kg', ' pounds'))}",
        """The {x} weighs {v}.
       The weight of the {x} is {v}.
       It weighs {v}.""",
        """How heavy is the {x}?
       What is the weight of the {x}?
       How many kilos is the {x}?""",
    ),
    _a(
        "warranty",
        n.period_en,
        """The warranty of the {x} covers {v}.
       The {x} is repaired free of charge for {v}.
       The guarantee on the {x} runs for {v}.""",
        """How long is the warranty on the {x}?
       Until when is the {x} repaired for free?
       Is the {x} under guarantee, and how long?""",
    ),
    _a(
        "refund",
        n.period_en,
        """The {x} can be refunded within {v}.
       Cancel the {x} at least {v} in advance.
       Refunds for the {x} must be requested within {v} of purchase.""",
        """When can I get my money back for the {x}?
       How long do I have to return the {x}?
       Until when may I cancel the {x}?""",
    ),
    _a(
        "reason",
        _pick(_REASON),
        """The {x} is suspended because of {v}.
       The {x} was delayed by {v}.
       Due to {v}, the {x} has been postponed.""",
        """Why was the {x} stopped?
       What is the cause of the problem with the {x}?
       Why is the {x} late?""",
    ),
    _a(
        "included",
        _list(_PART),
        """The {x} comes with {v}.
       The box of the {x} contains {v}.
       Every {x} includes {v}.""",
        """What is in the box of the {x}?
       What is included with the {x}?
       Which accessories come with the {x}?""",
    ),
    _a(
        "fix",
        _pick(_STEP),
        """If the {x} does not work, {v}.
       Should the {x} fail, {v}.
       When an error appears on the {x}, {v}.""",
        """My {x} is broken, what now?
       How do I fix the {x}?
       What should I do when the {x} stops working?""",
    ),
    _a(
        "ban",
        _list(_ACT, 1, 2),
        """During the {x}, {v} is forbidden.
       The {x} does not allow {v}.
       {v} is not permitted at the {x}.""",
        """What is not allowed at the {x}?
       What is forbidden during the {x}?
       Which things must I not do at the {x}?""",
    ),
    _a(
        "code",
        n.code,
        """The reference code of the {x} is {v}.
       Use form {v} for the {x}.
       Enter {v} to request the {x}.""",
        """What is the code for the {x}?
       Which form do I use for the {x}?
       What is the reference of the {x}?""",
    ),
)

THINGS = ["subscription", "overnight delivery", "book loan", "parking permit", "meeting room booking", "swimming course", "health check", "flu vaccination", "passport service", "address change", "savings account", "travel insurance", "phone plan", "internet installation", "roaming package", "membership", "gift card", "exchange service", "return service", "gift wrapping", "store pickup", "bulk order", "cake order", "lunch delivery", "water filter rental", "laundry service", "moving service", "cleaning service", "repair service", "annual leave", "parental leave", "remote work scheme", "travel expense claim", "company card", "shuttle bus", "equipment loan", "badge replacement", "course registration", "dormitory place", "scholarship", "exchange programme", "study room", "locker", "student card", "guided tour", "audio guide", "pottery class", "yoga class", "tennis court", "sauna", "camp site", "breakfast buffet", "late checkout", "airport transfer", "luggage storage", "seat reservation", "lounge access", "wheelchair service", "lost property office", "car rental", "bike rental", "charging station", "vacuum cleaner", "rice cooker", "air fryer", "dishwasher", "humidifier", "speaker", "headphones", "smart watch", "tablet", "laptop", "monitor", "keyboard", "printer", "router", "hiking boots", "rain jacket", "tent", "suitcase", "backpack", "desk", "office chair", "mattress", "bookshelf", "desk lamp", "coffee machine", "book fair", "spring festival", "marathon", "photo contest", "flea market", "job fair", "coding camp", "reading club", "concert", "film night", "blood drive", "recycling collection", "bulky waste pickup", "legal advice session", "cloud storage", "data backup", "video call service", "account recovery", "domain registration", "family plan", "free trial", "licence renewal", "security update"]
QUALIFIERS = ["standard", "premium", "basic", "special", "new", "junior", "adult", "family", "group", "corporate", "weekday", "weekend", "evening", "morning", "online", "express", "long-term", "monthly", "annual", "domestic", "international", "silver", "gold", "compact", "large", "portable", "indoor", "outdoor"]
TITLE_TAILS = ["guide", "policy", "FAQ", "information", "rules", "overview", "terms", "notice", "help", "handbook", "details", "user manual", "questions and answers", "specification"]
FILLERS = ["Please see the website for details.", "Thank you for your interest.", "Conditions may change without notice.", "Please read the following carefully.", "This page is reviewed every year.", "Our staff will be happy to help.", "The rules apply to all branches.", "Waiting times may vary.", "Changes are announced in advance.", "Earlier versions no longer apply."]
