"""Names and categories of the products, derived from the source's descriptions."""

from __future__ import annotations

import re

SHIPPING = "Shipping"
MANUAL = "Manual entry"
OTHER = "Other gifts"

# Codes that are not goods and stay in the extract because they are part of what the customer paid.
SERVICES = {
    "POST": ("Postage", SHIPPING),
    "DOT": ("Postage, online shop", SHIPPING),
    "C2": ("Carriage", SHIPPING),
    "M": ("Manual entry", MANUAL),
}
SHIPPING_CODES = frozenset(code for code, (_, category) in SERVICES.items() if category == SHIPPING)

# The first category with a matching word wins, so what the thing is stands before what is printed on it.
# A word also matches its plural; `*` at the end matches any ending, `_` is a space.
CATEGORY_WORDS: tuple[tuple[str, str], ...] = (
    (
        "Christmas",
        "christmas xmas advent santa reindeer snowman snowmen snowflake nativity noel bauble rudolph "
        "stocking angel sleigh mistletoe",
    ),
    ("Easter & Seasonal", "easter halloween valentine bunny bunnies chick chicken"),
    (
        "Signs & Frames",
        "sign frame clock doorstop chalkboard blackboard black_board memoboard memo_board noticeboard "
        "plaque block_word building_block wooden_block_letters",
    ),
    (
        "Bath & Wellbeing",
        "hot_water hottie warmer plaster bath bathroom soap lip lipgloss manicure cosmetic* massage sponge "
        "beauty toilet fragrance perfume oil shower toothbrush flannel potpourri first_aid sachet tissue",
    ),
    (
        "Bags & Purses",
        "bag purse shopper handbag tote holdall wallet luggage suitcase satchel rucksack backpack passport",
    ),
    (
        "Home Textiles",
        "doormat door_mat mat cushion* throw quilt* blanket curtain rug bedspread patchwork pillow* "
        "squarecushion",
    ),
    (
        "Party",
        "bunting garland invitation invite paperchain paper_chain confetti streamer party balloon* "
        "birthday_card cracker windsock",
    ),
    ("Cards & Wrap", "wrap giftwrap gift_tag tag envelope ribbon postcard gift_box card"),
    ("Lunch & Picnic", "lunch picnic snack flask thermos hamper cutlery bento"),
    (
        "Candles & Lights",
        "candle* t-light tlight tealight lantern light nightlight lamp lampshade chandelier incense votive "
        "torch led jam_jar_t-light",
    ),
    (
        "Jewellery",
        "necklace earring bracelet bangle brooch ring pendant jewellery diamante choker hairclip hairslide "
        "hair lariat charm tiara locket cufflink anklet necklac* earing* bangles phone_charm bead",
    ),
    (
        "Craft & Sewing",
        "feltcraft craft sewing knitting stitch needle wool crochet* button thread stencil kit tape "
        "haberdashery",
    ),
    (
        "Kitchen",
        "apron oven tea_towel towel chopping bread pantry spice scale timer pan biscuit peg iron* utensil "
        "colander fridge popcorn sink washing jam kitchen storage_jar bin food tagine chef scissor",
    ),
    (
        "Baking",
        "cake* cupcake muffin baking cookie cutter recipe rolling_pin whisk mixing jelly pudding pastry "
        "measuring mould gingerbread",
    ),
    (
        "Tableware",
        "mug cup teacup saucer plate bowl teapot jug tumbler placemat coaster napkin tea coffee doily "
        "doilies doiley egg tray goblet beaker decanter wine milk sugar butter cocktail straw tablecloth "
        "runner spoon fork crockery dish dinner breakfast jar tin glass sundae bottle salt",
    ),
    (
        "Garden",
        "garden* plant* watering seed flowerpot herb trowel birdhouse bird_house bird_feeder bird_table "
        "bulb gnome parasol hammock outdoor trellis bucket windmill shed cloche hose thermometer deckchair "
        "grow croquet secateur wellington bench arboretum wheelbarrow",
    ),
    (
        "Stationery",
        "pen pencil notebook journal stationery eraser rubber sticker calendar album paper chalk book ruler "
        "sharpener memo notelet pad clipboard diary stamp letter writing file address crayon sketchbook "
        "organiser calculator bookmark magnet",
    ),
    (
        "Toys & Games",
        "toy game doll dolly jigsaw puzzle skittle teddy bear playhouse domino* draught dinosaur soldier "
        "skipping spinning yo-yo robot kite marble puppet child* kid girl boy circus parade harmonica "
        "recorder ludo snake ball bouncy tattoo knitted inflatable helicopter ninja magic cowboy pirate "
        "train spaceboy playing whoopee baby maraca drum bingo glider flying modelling paint disc crawl* "
        "sombrero monkey",
    ),
    (
        "Fashion Accessories",
        "umbrella scarf hat glove sunglasses keyring key_ring slipper sock compact fan poncho parka "
        "raincoat belt tights dress hairband headband keychain key_chain sarong shawl jumper badge patch "
        "key_fob fob",
    ),
    (
        "Storage & Furniture",
        "box drawer cabinet shelf basket rack stool chair table hook hanger coathanger stand holder crate "
        "wardrobe bookend trunk unit dresser chest bookcase knob coat canister magazine screen ladder "
        "storage container case trinket bank cube sideboard pouffe money_bank piggy",
    ),
    (
        "Decoration",
        "heart decoration ornament mirror hanging wall vase wreath photo picture metal wooden wood zinc "
        "letters block door bell chime cherub star flower rose butterfly butterflies ceramic feather wicker "
        "slate mobile canvas bird birdcage art artificial cat dog owl figurine elephant babushka welcome "
        "home love model globe hen cockerel dove decorative string drop pebble tassel crystal print cage "
        "duck hand felt glitter deco. deco filigris filigree matches glass spring",
    ),
)


def _pattern(words: str) -> re.Pattern[str]:
    parts = []
    for word in words.split():
        spaced = re.escape(word.rstrip("*")).replace("_", r"\s+")
        parts.append(spaced if word.endswith("*") else rf"{spaced}(?:e?s)?\b")
    return re.compile(rf"\b(?:{'|'.join(parts)})", re.IGNORECASE)


_CATEGORY_PATTERNS = tuple((category, _pattern(words)) for category, words in CATEGORY_WORDS)

_SMALL_WORDS = frozenset(
    {"a", "an", "and", "as", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"}
)
_ACRONYMS = frozenset({"DIY", "EIIR", "LED", "TV", "UK", "USB"})
_WORD = re.compile(r"(?<![0-9A-Za-z'])[A-Za-z]+(?:'[A-Za-z]+)?|(?<=[0-9])'?[A-Za-z]+")


def category(*, code: str, description: str) -> str:
    """The category of a product by the words of its description."""
    if code in SERVICES:
        return SERVICES[code][1]
    for name, pattern in _CATEGORY_PATTERNS:
        if pattern.search(description):
            return name
    return OTHER


def display_name(*, code: str, description: str) -> str:
    """The description as a receipt would print it: the source shouts ("RED  RETROSPOT MUG")."""
    if code in SERVICES:
        return SERVICES[code][0]
    text = " ".join(description.split()).replace(" ,", ",").strip(" ,.")
    if text.upper() != text:
        return text

    def cased(match: re.Match[str]) -> str:
        word = match.group()
        if word in _ACRONYMS:
            return word
        if match.start() and (text[match.start() - 1].isdigit() or word.lower() in _SMALL_WORDS):
            return word.lower()
        return word.capitalize()

    return _WORD.sub(cased, text)
