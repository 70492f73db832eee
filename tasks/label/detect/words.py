"""Words of users that say how an answer was received, in English and Chinese: list and reasons.

A line is an RE2 pattern, and a line under it with a deeper margin goes on with it; a comment gives
the reason for the lines below it. A space stands for any white space, `'` for either apostrophe or
none, and `<name>` for a part of `PARTS`. Precision comes first: what is said of data ("which rows
are wrong?") is told from what is said of the answer ("the total is wrong") by what is named.
"""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """What users say who mean one thing."""

    says: str
    """Patterns of which one is enough."""
    unless: str = ""
    """Look-alikes, struck out before anything is looked for."""


PARTS: dict[str, str] = {
    # Where a statement of its own begins: "tell me which total is wrong" has none there.
    "start": r"(?:^|[.!?;:,\n(…–—。！？，；]\s*|\s-\s*|\b(?:but|no|nope|because|sorry|hm+|still"
    r"|wait|think|believe|guess|afraid|however|actually|so|and|honestly|seriously|frankly) )",
    "very": r"(?:(?:still|just|also|completely|totally|simply|definitely|clearly|obviously"
    r"|actually|plain|quite|so|really|very|all|again|absolutely|extremely|pretty|too|getting"
    r"|becoming|being|such|a|an|beyond|a bit|a little) )*",
    # What an agent gives. Not "order", "item", "address": those may be wrong without its doing.
    "answer": r"(?:that|this|it|those|these|(?:the|your|that|this|both|all|these|those)"
    r"(?: \w+){0,2}? (?:answer|result|response|total|sum|number|figure|count|value|percentage"
    r"|average|query|sql|output|calculation|formula|chart|translation|summary)s?"
    r"(?: you (?:gave|showed|sent|wrote|got)(?: me| us)?)?)",
    "is": r"(?:'s|'re| is| are| was| were| looks?| seems?)",
    "wrong": r"(?:wrong|incorrect|inaccurate|mistaken|not (?:quite |at all |even |entirely )?"
    r"(?:right|correct|accurate|true|it\b|what i|how i|the (?:one|right|correct)))",
    "person": r"(?:(?:a|an|the|your|another|any|some|actual|real|live|human|customer|support"
    r"|service|senior|different) )*(?:human|person|agent|supervisor|manager|representative|rep"
    r"|operator|specialist|superior|higher[- ]?up|boss|colleague|someone|somebody"
    r"|customer (?:service|support)|support)\b",
    "clause": r"[^，。！；,.!;\n]",
}

CORRECTION = Words(
    says=r"""
    # What was meant, said again.
    \bi (?:actually |really |only )?meant\b
    \bwhat i mean(?:t)? (?:is|was)\b
    \bno,? i mean\b
    \bnot (?:at all |exactly |really |quite )?what i(?:'m| am| was|'d|'ve)?(?: \w+)? (?:meant
        |mean|asked|asking|wanted|want|said|need|needed|looking|requested)\b
    \bi (?:didn't|did not|never) (?:ask|asked|say|said|request|mean|meant)\b
    \bi(?:'m| am| was)? (?:said|asked|wanted|looking|asking|talking|referring
        |trying)\b[^.!?\n]{1,90}(?:,|;) not\b
    \bbut i (?:asked|said|wanted|meant)\b
    \bread my (?:question|message|request) again\b
    \bnot the \w+ (?:i|we) (?:mean|meant|want|wanted|asked|need|needed)\b
    ^no,? the other one\b
    \bactually,? i (?:wanted|asked|said|was (?:looking|asking|trying|talking|referring))\b
    # The answer is called wrong.
    <start><answer><is> <very>(?:<wrong>|the wrong)
    <start><answer> (?:isn't|aren't|wasn't|weren't) <very>(?:right|correct|accurate|what i
        |how i|the one)
    <start><answer> (?:can't|cannot|couldn't) (?:possibly )?be (?:right|correct)
    <start><answer> (?:doesn't|does not|don't|didn't|did not) (?:look|seem|sound|answer
        |address) (?:\w+ )?(?:right|correct|question|to be right)
    <start>(?:that|this) (?:doesn't|does not) make (?:any )?sense(?:[.!,]|$)
    <start><answer> makes? no sense
    <start><answer><is> (?:way |a bit |slightly )?off(?:[.!,]|$)
    \b(?:that's not|that is not|that was not|that wasn't|that isn't) my question\b
    \byour (?:\w+ ){1,2}(?:has|contains) (?:an?|some|several) (?:error|mistake|bug)s?\b
    \bi (?:don't|do not) (?:think|believe) <answer>(?:'s|'re| is| are| was
        | were) <very>(?:right|correct|accurate|what i)
    \bi'm not (?:so )?sure <answer>(?:'s|'re| is| are) (?:right|correct)
    ^(?:no[,.!]* )?(?:still |completely |totally )*(?:wrong|incorrect|not (?:quite|right
        |correct|that one|true))(?: (?:answer|month|year|day|date|week|quarter|table|column
        |one|number|total|file|sheet|name|units?|currency|query|country|region
        |format))?\s*(?:[.!,;]|$)
    ^no,? not (?:that|this|those)(?: one| ones)?\s*[.!,]
    \bshould (?:be|have been)[^.!?\n]{1,60}(?:, not\b| instead of )
    <start><answer> should(?: have|'ve) been\b
    # The agent's mistake is named.
    \byou(?:'ve| have| must have| seem to have)?(?: clearly| still| just| also| again
        | completely)? (?:misunderstood|misread|misinterpreted|missed|forgot|forgotten
        |ignored|overlooked|left out|skipped|mixed up|miscounted|miscalculated|made (?:a|an
        |another) (?:mistake|error)|did(?:n't| not) (?:answer|understand|include|follow
        |do what|use|read|apply|count|filter))\b
    \byou(?:'re| are) (?:wrong|mistaken|(?:looking at|using|reading|talking about) the wrong)\b
    \byou(?:'ve)? got (?:it|that|this|them|everything|(?:the|my) \w+) (?:all )?wrong\b
    \byou (?:\w+ )?(?:used|picked|chose|took|gave|showed|selected|sent|counted|queried|booked
        |joined|opened|returned|filtered|pulled)(?: \w+){0,4} the wrong\b
    # Polite ways of saying so.
    \b(?:there(?:'s| is| was| has| have| might| may| must| seems| appears| could)
        |encountering)\b[^.!?\n]{0,25}\b(?:misunderstanding|confusion|mix-?up)\b
    # Chinese: the same three.
    不对|不太对|不正确|不准确|有误|答非所问
    (?:算|弄|搞|理解|查|看|写|答|找|选|用|给|听|会|说)错了|^错了
    (?:答案|结果|数据|数字|总数|金额|日期)(?:都|全|又|还是|明显|显然|完全)*是?错(?:的|了)
    我的意思是|我不是(?:这个|那个)意思|不是这个
    我(?:说|问|要|指|想要|想问|想查)的(?:是|不是)|不是我(?:要|想要|问|说|想问)的
    我没(?:有)?(?:让|叫)你|不是让你|^不是[，,]?我(?:是)?(?:说|问|指)
    你[^，。！？\n]{0,3}(?:看|用|算|弄|搞|理解|查|选|找)错|没有?回答我的
    你的?(?:理解|答案|回答|结果|计算)[^，。！？\n]{0,4}有(?:问题|错)
    (?:你|您)们?(?:又|还是|是不是|好像|可能)?(?:漏|忘|少)(?:了|掉)
    (?:你|您)们?(?:又|好像|可能|是不是)?(?:误会|误解)
    应该是[^，。！？\n]{1,20}[，,]?而?不是
    """,
    unless=r"""
    \bi meant (?:no|well)\b
    \bi meant to (?:ask|say|thank|mention|tell|add|write|include|send)
    \bdidn't mean to\b
    \bi wanted to (?:ask|know|also|add|thank|say|see|check|mention)\b
    # Not yet an answer, or a limit that is part of the wish: "in May, not before noon".
    \bnot (?:right (?:now|away)|quite (?:yet|sure|ready|done)|sure|yet|now|only|too|very
        |necessarily|before|after|more|less|later|earlier|including|that i know)\b
    \bnot the right (?:time|place|moment)\b
    \b(?:wrong|incorrect) to\b
    # Asked, or supposed: nobody has said that it is so.
    \b(?:if|whether|when|in case|unless|suppose|assuming)\b[^.!?,;\n]*
    \b(?:do|did|would|don't) you think\b[^.!?\n]*
    \b(?:have|had) you\b[^.!?\n]*\?
    \b(?:which|what|why|rows|ones|those) you (?:missed|skipped|left out|ignored)\b
    # A parcel, not an answer.
    \bthe wrong (?:item|product|size|colou?r|order|package|address)\b
    (?:地址|电话|订单|商品|尺码|颜色|型号|姓名|名字|账号|密码|发票)<clause>{0,3}不对
    不错|没错|(?:^|[^不])对不对|对不起|有误差|不对(?:称|外|等|口|齐|账|应|冲)
    # The user's own mistake.
    我(?:自己|刚才|刚刚|之前|可能|好像|不小心)*(?:说|写|打|记|搞|弄|看|输|发|填|选|算)?错了
    <clause>*(?:哪|什么|是否|有没有|如果|要是|假如|多少)<clause>*
    (?:^|[，。！？；,.!?;\n])[^你您，。！；,.!;\n]<clause>*(?:吗|么)
    """,
)
"""The answer was wrong, or not what was meant."""

COMPLAINT = Words(
    says=r"""
    # Of the agent and what it does.
    <start>(?:this(?: assistant| bot| chatbot| agent)?|that|it|you|which
        |your (?:\w+ )?(?:answers?|service|help|bot|support
        |responses?)|the (?:service|support|bot|answer))<is> <very>(?:useless|ridiculous
        |unacceptable|terrible|horrible|awful|pathetic|frustrating|annoying|infuriating|joke
        |unhelpful|not (?:very |really |at all )?(?:helpful|helping|acceptable|good enough
        |listening)|nonsense|garbage|rubbish|stupid|dumb|idiotic|absurd|outrageous
        |disappointing|disgrace|hopeless|incompetent|crap|bullshit
        |(?:complete |total )?waste of (?:my |our )?time|driving me)\b
    ^(?:so|very|totally|completely|absolutely|how|just)? ?(?:useless|unhelpful|ridiculous
        |pathetic|terrible|awful|unacceptable|frustrating|annoying)[.! ]*$
    ^(?:terrible|awful|horrible|poor|worst) (?:service|support|experience|answer|bot)\b[.! ]*$
    \bwhat an? (?:terrible|awful|useless|horrible|stupid|joke|disgrace|ridiculous
        |(?:complete |total )?waste of)\b
    \bwaste of my time\b
    \bwasting my time\b
    \bworst (?:\w+ )?(?:service|experience|support|bot|assistant|help|answers?) (?:ever|i)\b
    \b(?:no help|(?:not|n't) help(?:ing|ful)?(?: me| us)?) at all\b
    \bthank(?:s| you) for nothing\b
    \bthis sucks\b
    \byou suck\b
    # Of how the user feels.
    \bi(?:'m| am|'ve been| feel) <very>(?:frustrated|annoyed|disappointed|upset|unhappy
        |dissatisfied|fed up|furious|angry|sick and tired|tired of|losing (?:my )?patience
        |not (?:at all |very |really )?(?:happy|satisfied|impressed|pleased))\b
    \bwtf\b
    \bwhat the (?:hell|heck|fuck)\b
    \bfor (?:god|christ|heaven|fuck)'s sake\b
    \bare you (?:kidding|joking|stupid|even (?:listening|reading|trying))\b
    \b(?:file|make|lodge|submit|raise) a (?:formal )?complaint\b
    # Of having to say it again.
    \bi(?:'ve| have) (?:told|asked) you\b
    \bhow many times (?:do i (?:have|need) to|must i|have i (?:told|said|asked|explained)
        |did i (?:say|tell|ask))\b
    \bi(?:'ve| have)? already (?:told|said|explained|answered|mentioned|given you|gave you
        |asked (?:you|twice|for this))\b
    \bgoing (?:around |round )?in circles\b
    ^for the (?:third|fourth|fifth|last|hundredth) time\b
    \byou (?:just |still )?keep (?:asking|repeating|saying|giving|telling|ignoring|making)\b
    \bi keep (?:asking|telling|repeating)\b
    \bstop (?:repeating|wasting|ignoring)\b
    # Chinese: the same three.
    太(?:差|烂|坑|离谱|敷衍)(?:了|[！!。]|$)|(?:真|完全|根本)没用
    (?:真|太|就是)(?:垃圾|差劲)(?:[了！!。]|$)|(?:这么|真|太)(?:笨|蠢|傻)|一点用(?:都|也)没有
    什么(?:垃圾|破|玩意|鬼东西|烂)
    ^(?:真|太|好)?(?:垃圾|无语|离谱|没用|差劲|坑人)[了啊！!。]*$|浪费了?我
    (?:真|太|纯|完全|简直)是?在?浪费时间|浪费时间[了！!。]*$|废物|智障|气死|烦死
    受够了|[令让]人失望
    (?:很|非常|太|真的?|十分|有点|特别)(?:失望|生气|恼火)(?:了|[！!。，,]|$)
    (?:^|我|对此|很|非常|十分|真的|表示)不满意(?:[。！!，,]|$)|(?:我|我们)要投诉
    投诉你|(?:说|问|讲|重复)[了过](?:多少|好几|几|两|三|很多|无数)遍
    (?:说|问|讲)了(?:好几|无数)次|已经(?:说|讲|告诉|回答)过?(?:你|了)|你们?到底
    能不能好好|听不懂(?:人话|吗)|(?:还是|仍然|一直|根本)没有?解决
    """,
    unless=r"""
    \b(?:if|whether|in case|unless)\b[^.!?,;\n]*
    \b(?:would|will|might|may|could) be (?:useless|terrible|annoying|frustrating)\b
    没用(?:过|到|上|完|户)|垃圾(?:邮件|分类|短信|桶|处理|箱|回收)|人工智障率
    <clause>*(?:哪|是否|如果|多少个|多少客户|比例|占比)<clause>*
    """,
)
"""The user is displeased."""

ESCALATION = Words(
    says=r"""
    \b(?:transfer|connect|put|pass|hand|refer|switch|forward|redirect|escalate) (?:me|us
        |my (?:case|call|issue|request|chat|complaint)) (?:through |over |on )?(?:to
        |with) <person>
    \b(?:transfer|escalate|hand) (?:this|it) (?:over )?to <person>
    \b(?:let me|i(?:'d| would)? (?:really |much )?(?:like|want|need|prefer|rather
        |demand)(?: to)?|can i|could i|may i|how (?:do|can) i|trying to|able to|possible to
        |a way to) (?:please )?(?:just )?(?:speak|talk|chat)(?: directly)? (?:to
        |with) (?:<person>|one\b)
    \b(?:someone|somebody|anyone|anybody|human|person|supervisor|manager|representative|agent
        |higher[- ]?up)(?: else)? (?:that |who |whom )?i (?:can|could
        |may) (?:directly )?(?:speak|talk|chat)\b
    ^(?:please )?transfer me(?: please| now)?[.! ]*$
    \bget an? (?:real|live|human) person\b
    \b(?:get|give) me (?:to )?(?:a|an|your) (?:real |live |human |actual )*(?:human|person
        |supervisor|manager|agent|representative|operator)\b(?:[.!?,]| please| now| instead|$)
    \bi(?:'d| would)? (?:want|need|demand|like|prefer) (?:a|an|your)(?: real| live| human
        | actual)* (?:human(?: agent| being)?|person|supervisor|manager|live agent|real agent
        |representative|operator)\b(?:[.!,]| to (?:help|call|handle)| please| now| instead|$)
    # What is said to a telephone menu.
    ^(?:a )?(?:real |live |human )?(?:agent|human|representative|operator|supervisor
        |real person|live person|customer service)(?:,? please| now)?[.! ]*$
    \b(?:human|live|real) (?:agent|person|representative|operator|being),? please\b
    \bescalate (?:this|my (?:case|issue|complaint|request|problem))(?: please| now)?(?:[.!,]|$)
    转(?:接|到|给)?(?:一下|个)?(?:人工|真人|活人)|接人工(?:[，。！!,.]|$)
    ^人工(?:客服|服务)?[。！!]*$|有(?:没有)?人工(?:吗|[？?]|$)
    (?:要|找|接|换|叫|联系|需要)(?:一下|个|一个|到)?(?:人工客服|人工服务|人工坐席|真人|活人)
    (?:叫|让|找|请)你们的?(?:经理|主管|领导|老板|负责人|上级)
    (?:我要|让我)找(?:经理|主管|领导)
    (?:跟|和|与)(?:真人|人工|活人|(?:你们的?)?(?:经理|主管|领导))(?:客服)?(?:说|谈|聊|沟通|对话|通话|讲)
    """,
    unless=r"""
    \b(?:don't|do not|didn't|wouldn't|not|no) (?:really |yet |even )?(?:want|need|wish|like
        |asking|have|transfer|connect|escalate)\b[^.!?,\n]*
    \b(?:without|instead of|before|rather not)\b[^.!?,\n]*
    (?:不用|不要|不需要|别|无需|不必|不想)<clause>{0,4}(?:人工|真人|经理|主管)
    转?人工(?:客服|服务)?(?:的|率|量|次数|比例|成本|审核)
    <clause>*(?:多少|平均|统计|占比)<clause>*
    """,
)
"""The user asks for a person, or for one higher up."""

THANKS = Words(
    says=r"""
    \b(?:thanks|thank (?:you|u)|thx|thnx|ty|tysm|cheers|much appreciated)\b(?: (?:so much
        |very much|a lot|a million|a bunch|again))?(?: for [^.!?,\n]{1,60})?
    \bappreciate (?:it|that|this|you|(?:all )?(?:your|the) \w+)\b
    (?:^|[.!,\n]\s*|\b(?:ok|okay|oh|wow|yes|yeah|alright|that's|that is|this is|it's|looks
        |sounds|all|just|absolutely|so|really|very) )(?:great|perfect|awesome|excellent
        |wonderful|fantastic|brilliant|amazing|lovely|superb|cool|nice|well done|good job
        |great job|nice work)\s*(?:[.!,]|$)
    # Words that the answer did what it should.
    \b(?:that|this|it) (?:works|worked|helps|helped|did it|did the trick|solve[sd] it
        |fixe[sd] it)\b
    \b(?:exactly|just) what i (?:needed|wanted|need|was looking for)\b
    \b(?:works now|problem solved)\b
    \blooks? (?:good|great|right|correct|perfect)\b
    \bsounds good\b
    \ball set\b
    \bnot bad\b
    \bgot it\b
    \b(?:very|so|super|really) helpful\b
    \bthat(?:'s| is| was| should be| will be| would be) (?:all|it
        |everything)\b(?: (?:i (?:needed|need)|for (?:now|today)))*
    (?:谢谢|多谢|感谢|谢啦|谢了)(?:你|您)?们?的?(?:帮助|帮忙|解答|回答|耐心|支持|回复|讲解|说明)?
    太好了|太棒了|很好|真好|非常好|好极了|不错|完美|搞定|可以了|解决了|辛苦了|明白了
    就这样|就这些|没有?(?:其他|别的)?问题了|没事了|厉害|正是我想?要的|很有帮助|再见
    """,
    unless=r"""
    # Declined, in vain, ahead of the work, or about something else.
    \bno,? (?:thanks|thank you|thx)\b
    \bthank(?:s| you) (?:for (?:nothing|trying|waiting|holding)|in advance|to)\b
    \bthank[- ]you (?:notes?|e?mails?|letters?|cards?|pages?|messages?)\b
    \bappreciate (?:it|that) if\b
    \bwould (?:really |greatly )?(?:appreciate|be (?:great|good|perfect|nice|helpful|awesome))\b
    \bnot (?:so |very |really |that |too )?(?:great|good|perfect|helpful|nice|cool)\b
    \b(?:isn't|wasn't|doesn't|didn't|don't|never)\b[^.!?,\n]*
    不用了?[，,]?谢谢|不(?:了|要)[，,]?谢谢|不(?:太|是很|怎么)?好|没有?(?:解决|搞定)
    不明白|感谢信|不完美
    """,
)
"""Thanks, praise, or that nothing more is needed."""

REQUEST = Words(
    says=r"""
    [?？]
    # What takes the praise back.
    \b(?:but|however|although|though|unfortunately|except|still|wrong|instead|please|pls)\b
    (?:^|[.!?,;:¤\n]\s*|\b(?:now|also|then|and|next|just|so|ok|okay|yes|sure) )(?:show|give
        |list|tell|find|make|add|change|book|do|send|run|try|check|fix|update|use|get|create
        |write|explain|compare|include|remove|delete|export|plot|proceed|go ahead|redo|sort
        |filter|group|break|convert|calculate|compute|say|let's|what|which|how|when|where|why
        |who|can|could|would|is|are|does|did|count|draw|open|cancel|move|put|set|split
        |transfer|translate)\b
    \b(?:can|could|would|will) you\b
    \bi(?:'d| would)?(?: also)? (?:need|want|like|prefer|wonder)\b
    \bone more\b
    \b(?:another|a) (?:question|request)\b
    \b(?:how|what) about\b
    请|再|帮我|帮忙|能不能|能否|怎么|什么|多少|哪|呢|吗|但|不过|可是|还是|然后|接下来
    给我|把|我想|我要|我还|另外|还有|换成|改|查|看看|统计|列出|导出|发给|如果|还要
    还需要
    """,
)
"""Something more is asked for: told of what is left when the thanks are struck out."""

FAREWELL = Words(
    says=r"""
    ^(?:ok(?:ay)?[,. ]*|no(?:pe)?[,. ]*|alright[,. ]*)*(?:(?:good)?bye(?:[- ]bye)?
        |see you(?: later)?|have a (?:good|nice|great|lovely) \w+|(?:and )?you too|take care
        |good ?night|ok(?:ay)?|no(?:pe)?|nothing(?: else)?|no,? (?:thanks|thank you)|stop
        |exit|quit|end|done)[.! ]*$
    ^(?:再见|拜拜|好的?|嗯|行|没有了?|没了|不用了?(?:[，,]?谢谢)?|结束|退出)[。！!.]*$
    """,
)
"""The whole turn takes leave or stops; "never mind" gives up, and is none."""

ANSWERING = Words(
    says=r"""
    ^(?:yes|yeah|yep|sure|ok|okay|no|nope|alright|great|correct|right|perfect|i confirm)\b
    ^(?:是的?|对的?|好的?|嗯|行|可以|没问题|不是|不用|不要|确认)(?:[，。！,.! ]|$)
    \b(?:thanks|thank you)\b[^.!?\n]*[.!]*$
    谢谢[^？?]*$
    """,
)
"""Answers, confirmations and thanks: said twice, they ask nothing twice."""
