# ruff: noqa: E501 (word lists and patterns read better on one line)
"""Short polite replies, in Korean mostly."""

from __future__ import annotations

from random import Random

from sadari.mini.skills import names as n
from sadari.mini.skills.rows import Row, chat

_TALK_KO = (
    ("안녕하세요|안녕|반갑습니다|하이|처음 뵙겠습니다|좋은 아침이에요", "안녕하세요. 무엇을 도와드릴까요?|안녕하세요, 반갑습니다. 어떤 도움이 필요하신가요?"),
    ("고마워요|감사합니다|정말 고맙습니다|도움이 됐어요|땡큐", "도움이 되어 기쁩니다. 더 궁금하신 점이 있으면 말씀해 주세요.|감사합니다. 언제든지 다시 찾아 주세요."),
    ("너무 화가 나요|정말 불편했어요|서비스가 엉망이에요|왜 이렇게 늦어요|실망했어요", "불편을 드려 죄송합니다. 바로 확인해 보겠습니다.|죄송합니다. 빠르게 해결할 수 있도록 도와드리겠습니다."),
    ("잘 있어요|안녕히 계세요|다음에 봐요|이만 갈게요", "이용해 주셔서 감사합니다. 좋은 하루 보내세요.|안녕히 가세요. 또 뵙겠습니다."),
    ("도와주세요|질문이 있어요|뭐 좀 물어봐도 돼요?|상담하고 싶어요", "네, 말씀해 주세요. 도와드리겠습니다.|네, 어떤 점이 궁금하신가요?"),
    ("누구세요?|너는 누구야?|이름이 뭐예요?|사람이에요?", "저는 문의에 답해 드리는 인공지능 도우미입니다.|저는 인공지능 도우미입니다. 무엇을 도와드릴까요?"),
    ("잠시만요|잠깐만 기다려 주세요|조금 있다가 할게요", "네, 천천히 하셔도 됩니다.|네, 기다리겠습니다."),
    ("힘들어요|우울해요|오늘 너무 지쳤어요|속상해요", "많이 힘드셨겠어요. 잠시 쉬어 가셔도 괜찮습니다.|마음이 많이 힘드시군요. 제가 도울 일이 있을까요?"),
)
_TALK_EN = (
    ("Hello|Hi|Good morning|Hey there", "Hello. How can I help you?|Hi, what can I do for you?"),
    ("Thank you|Thanks a lot|That helped", "You are welcome. Is there anything else?|Glad to help."),
    ("This is annoying|I am upset|Your service is bad", "I am sorry for the trouble. Let me look into it.|I apologise. I will check right away."),
    ("Goodbye|Bye|See you", "Goodbye. Have a nice day.|Thank you and goodbye."),
    ("Who are you?|Are you a person?|What is your name?", "I am an AI assistant.|I am an AI assistant. How can I help?"),
)


def reply_politely(r: Random) -> Row:
    """Greeting, thanks, complaint, farewell: a short polite answer."""
    ko = r.random() < 0.75
    users, answers = r.choice(_TALK_KO if ko else _TALK_EN)
    user, answer = r.choice(users.split("|")), r.choice(answers.split("|"))
    if r.random() < 0.4:
        user += r.choice((".", "!", "~", "..", " ㅎㅎ")) if ko else r.choice((".", "!"))
    if ko and r.random() < 0.3:
        name = n.person_ko(r)
        user, answer = f"{user} 저는 {name}입니다.", f"{name} 님, {answer}"
    system = r.choice(("", "정중하게 답하세요.", "친절한 상담원입니다.", "짧고 정중하게 답합니다.")) if ko else r.choice(("", "Be polite.", "You are a helpful assistant."))
    return chat("reply", system, user, answer)
