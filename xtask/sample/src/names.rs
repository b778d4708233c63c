//! The invented world: pools of names, each built from word lists by a small grammar.

use std::collections::BTreeSet;

use super::dice::Dice;
use super::pattern::{Slots, expand};
use super::{LOC, MISC, ORG, PER};

const WOMEN: &str = "Ada Aisha Alba Alice Amara Ana Anneke Astrid Beatriz Bianca Camille Carmen \
    Chiara Clara Daria Delia Edith Elena Elif Elsa Esther Fatima Freya Gudrun Hana Helena Ines \
    Ingrid Irina Isabel Jana Joanna Judit Kamala Karin Katya Keiko Lara Leila Lena Livia Lucia \
    Magda Maren Marta Mei Mina Miriam Nadia Naomi Nina Noor Odette Olga Paloma Petra Priya Rania \
    Renata Rosa Sabine Salma Sara Selma Signe Sofia Talia Tessa Ursula Valentina Vera Wanda Yasmin \
    Yuki Zara Zofia Rose Grace Hope Dawn April Summer Rose Grace Hope Dawn April Summer";
const MEN: &str = "Aaron Abel Adrian Ahmed Akira Alan Anders Anton Arjun Arturo Bashir Benedek \
    Bruno Callum Carlos Cedric Daniel Dario David Diego Dmitri Edmund Elias Emil Erik Farid Felix \
    Fergus Gabriel Gareth George Goran Gustav Hamid Haruki Hector Henrik Hugo Ibrahim Igor Isaac \
    Ivan Jakob Jamal Jonas Jorge Joseph Julian Kaito Karim Kenji Kofi Lars Leo Lorenzo Luca Malcolm \
    Marco Martin Mateo Milan Mohan Nabil Nils Omar Oscar Otto Pablo Patrick Pavel Peter Rafael Ravi \
    Roland Ruben Samuel Sanjay Simon Stefan Tariq Tobias Tomas Umar Victor Viktor Walter Wei Xavier \
    Yusuf Zoltan Will Mark Frank August Will Mark Frank August";
const LAST: &str = "Abara Adeyo Alder Ambrose Anselm Arkwright Asher Baptiste Barlow Bellamy \
    Bergstrom Birch Blackwood Brandt Brask Calloway Carmody Castell Chandra Chowdhury Colfax Conti \
    Corrigan Crane Dahl Danvers Darrow Delacroix Demir Devlin Diallo Drummond Dufresne Eklund Ellery \
    Emeka Endo Esposito Fairclough Falk Farrow Fenwick Ferreira Finch Fontaine Fournier Galloway \
    Garrick Gatenby Goswami Grieve Haddad Halden Halloran Hartigan Hayashi Hedlund Herrera Holloway \
    Hossain Ibarra Ingram Ishida Ivanic Jansen Jessop Kaminski Kapoor Karlsen Keating Kessler Khalil \
    Kimura Kovacs Kruger Lachance Langford Larkin Lindqvist Lomax Lund Macready Maddox Mahler Malik \
    Marchetti Mendes Mercer Moreau Mwangi Nakata Navarro Ndiaye Novak Nyberg Oduya Okafor Oliveira \
    Orlov Osei Pacheco Palmgren Pascoe Pemberton Petrov Prentice Quayle Quint Radley Rahman Ramires \
    Redfern Renaud Rossi Rourke Sadler Salvatore Sandoval Sato Schreiber Sefton Serrano Skov Solberg \
    Soto Stanhope Strand Sundaram Tanaka Tennant Thackray Thorne Tierney Torvald Trent Tremblay \
    Ulrich Underhill Urquhart Valdez Vance Varga Vickers Vogel Wakeling Wardle Weaver Whitlock \
    Winslow Wojcik Yamada Yates Zamora Zeller Zielinski";
const COMMON_LAST: &str = "Frost Snow Stone Fields Rivers Banks Price Young Winter Bishop Major \
    Church Woods Storm May Swift Sharp Rich";

const TOWN_HEAD: &str = "Har Dun Kel Ost Bram Wex Thorn Ald Quor Tre Sel Hesk Brack Cald Fos Gar \
    Inger Kirk Lang Mel Orm Rad Sal Tam Ulver Wyn Yar Carn Dray Ever Fal Hester Ilm Kes Lorn Penn \
    Sker Tol Vern Whel";
const TOWN_TAIL: &str = "wick mere ford ham stead mouth ton bury ness holm by leigh combe haven worth dale gate thorpe";
const COMMON_TOWN: &str = "Landing Ferry Crossing Haven Spring Mill";
const CITY: &str = "Vasko Ostrevo Calamar Tirrena Kolvik Nyhamra Tarsova Zembra Ouralba Marrakol \
    Khorvat Anjari Lumbasa Tsukara Hanmori Belmora Sarvanto Dravik Ileshi Quimara Petrovar Jandal \
    Santa_Idra Sidi_Barran Port_Almeda Belmonte_Alto Puerto_Linda San_Averno Bad_Erlen Novi_Brod \
    London Paris Tokyo Nairobi Lima Oslo Chicago Mumbai Cairo Lisbon Toronto Sydney";
/// Country, its adjective, and its people.
const COUNTRY: &str = "Veldania:Veldanian:Veldanians Kaltia:Kaltian:Kaltians Merova:Merovan:Merovans \
    Ardland:Ardlandic:Ardlanders Corsenia:Corsenian:Corsenians Tamoria:Tamorian:Tamorians \
    Ilvania:Ilvanian:Ilvanians Pelagia:Pelagian:Pelagians Zuhara:Zuharan:Zuharans \
    Kirovia:Kirovian:Kirovians Esteria:Esterian:Esterians Osmara:Osmaran:Osmarans \
    Halvia:Halvian:Halvians Belisar:Belisari:Belisaris Tzanda:Tzandan:Tzandans Drenmark:Drenish:Drens \
    Sarkland:Sarkish:Sarks Galdor:Galdorian:Galdorians Ombra:Ombran:Ombrans Varn:Varnish:Varns \
    Quillon:Quillonese:Quillonese Upper_Sava:Savan:Savans San_Torres:Torresian:Torresians \
    Norrmark:Norrish:Norrmen Iceland:Icelandic:Icelanders Norway:Norwegian:Norwegians \
    Japan:Japanese:Japanese Greece:Greek:Greeks Portugal:Portuguese:Portuguese \
    Denmark:Danish:Danes";
const WATER: &str = "Ennet Tolva Wyrren Osk Maddle Brae Lissen Corrow Vyre Aldra Sorn Keth Ilse \
    Ambra Sarrin Morven Tessin Laggar Ruvo Bevel Ondra Yssel Calder Marl";
const HEIGHT: &str = "Corvane Arrach Sorrel Skarn Tindra Gaunt Velloc Orrin Harrow Drumlin Askar \
    Pellow Brannick Cairn Perrin Tolmen";
const REGION: &str = "Tessaly Morvane Sarrow Calderland Brennshire Dunshire Karst Ostmark Lindale Vallory Esk Tarrant";
const STREET: &str = "Tanner Foundry Glover Bishop Marsh Station Chandler Abbey Mulberry Cooper \
    Lantern Orchard Castle Saddler Granary Weaver";
const SAINT: &str = "Brannoc Odile Ansgar Wystan Elwyn Corentin Ninian Hilda Aldate Petroc Bega";

const COIN_HEAD: &str = "Nor Vel Zen Kor Tal Lum Aqua Hex Opti Syn Bri Cav Del Fin Gen Ova Pra Qua Ter Novo";
const COIN_TAIL: &str = "vex tra dyne tech cor lix mora tis gene ware lane via ron sys nell";
const COMMON_FIRM: &str = "Orchard Granite Compass Anchor Beacon Horizon Signal Mosaic";
const COMMON_BAND: &str = "Sawdust Thunder";
const COMMON_TITLE: &str = "Harvest Undertow Thaw Afterglow Eclipse Homecoming Mirage";

const NOUN: &str = "Harbour Lantern River Orchard Glass Ember Sparrow Window Garden Signal Thunder \
    Copper Fox Heron Engine Mirror Candle Tide Willow Needle Anchor Circus Telescope Bell Ladder \
    Lighthouse Archive Staircase Island Kite";
const BAND_NOUN: &str = "Foxes Herons Sparrows Lanterns Engines Sisters Orphans Pilots Tigers Ghosts \
    Gardeners Astronauts Magpies Postmen Wolves Strangers";
const ADJECTIVE: &str = "Quiet Broken Golden Silent Electric Crooked Northern Hollow Distant Drowned \
    Gentle Burning Secret Second Last Paper Velvet Wooden Blue Crimson";
const METAL: &str = "Amber Silver Golden Crystal Copper Emerald Ivory Cobalt";

/// A kind of thing that has names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    Person,
    Town,
    City,
    Country,
    River,
    Lake,
    Mountain,
    Island,
    Region,
    Street,
    Venue,
    Club,
    Nickname,
    Firm,
    University,
    Band,
    Party,
    Agency,
    Paper,
    Hospital,
    Demonym,
    People,
    Award,
    Festival,
    Album,
    Film,
    Book,
    Cup,
    Product,
    Law,
    War,
    Ship,
}

impl Pool {
    pub(super) const ALL: [Self; 32] = [
        Self::Person,
        Self::Town,
        Self::City,
        Self::Country,
        Self::River,
        Self::Lake,
        Self::Mountain,
        Self::Island,
        Self::Region,
        Self::Street,
        Self::Venue,
        Self::Club,
        Self::Nickname,
        Self::Firm,
        Self::University,
        Self::Band,
        Self::Party,
        Self::Agency,
        Self::Paper,
        Self::Hospital,
        Self::Demonym,
        Self::People,
        Self::Award,
        Self::Festival,
        Self::Album,
        Self::Film,
        Self::Book,
        Self::Cup,
        Self::Product,
        Self::Law,
        Self::War,
        Self::Ship,
    ];

    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Person => PER,
            Self::Town
            | Self::City
            | Self::Country
            | Self::River
            | Self::Lake
            | Self::Mountain
            | Self::Island
            | Self::Region
            | Self::Street
            | Self::Venue => LOC,
            Self::Club
            | Self::Nickname
            | Self::Firm
            | Self::University
            | Self::Band
            | Self::Party
            | Self::Agency
            | Self::Paper
            | Self::Hospital => ORG,
            Self::Demonym
            | Self::People
            | Self::Award
            | Self::Festival
            | Self::Album
            | Self::Film
            | Self::Book
            | Self::Cup
            | Self::Product
            | Self::Law
            | Self::War
            | Self::Ship => MISC,
        }
    }

    /// Returns the largest number of names, and their grammar. Returns `None` for pools that are built by hand
    /// below.
    fn grammar(self) -> Option<(usize, &'static str)> {
        Some(match self {
            Self::Person | Self::City | Self::Country | Self::Demonym | Self::People => return None,
            Self::Town => (
                230,
                "[{fused}|{fused}|{fused}|{fused}|{fused}|{fused}|Port {fused}|{fused} Bay\
                 |New {fused}|St {saint}|{common_town}]",
            ),
            Self::River => (34, "[{water}|River {water}]"),
            Self::Lake => (26, "[Lake {water}|Loch {water}|{water} Reservoir]"),
            Self::Mountain => (30, "[Mount {height}|{height} Peak|Ben {height}|{height} Pass]"),
            Self::Island => (24, "[{height} Island|{fused} Island|Little {height}|Inch {height}]"),
            Self::Region => (44, "[||North|South|East|West|Upper|Lower] {region}"),
            Self::Street => (60, "{street} [Street|Street|Lane|Road|Square|Avenue|Quay]"),
            Self::Venue => (
                130,
                "[{town} Arena|{town} Castle|{town} Airport|{last} Park|{last} Hall|{street} Park\
                 |{street} Road Stadium|{town} Station|{height} Stadium]",
            ),
            Self::Club => (
                170,
                "[{town} [United|United|City|Rovers|Athletic|Wanderers|Albion|Harriers|County]\
                 |Sporting {city}|Dynamo {city}|{city} FC|{town} [Falcons|Kestrels|Bulls|Mariners]]",
            ),
            Self::Nickname => (
                18,
                "[Kestrels|Falcons|Mariners|Lodestar|Corinthians|Ironsides|Partizan|Petrels\
                 |Olympia|Torpedo|Stormers|Highlanders|Saracens|Lions|Red Bulls|Blue Stags\
                 |Old Boys|Young Lions]",
            ),
            Self::Firm => (
                330,
                "[{last} & Sons|{last} Brothers|{last} & {last}|{last} [Group|Holdings|Foods|Motors]\
                 |{coin}|{coin}|{coin} [Systems|Energy|Motors|Pharma|Airlines|Labs|Robotics|Media]\
                 |{coin} [Inc.|Ltd|plc|Corp.]|{town} [Steel|Shipping|Water|Railways|Breweries]\
                 |{common_firm}|{common_firm} [Bank|Insurance|Capital|Logistics]|Bank of {city}]",
            ),
            Self::University => (
                100,
                "[University of {town}|{town} University|{town} University|{city} University\
                 |{town} Institute of Technology|{last} College|{town} School of Mines\
                 |St {saint} College]",
            ),
            Self::Band => (
                120,
                "[The {adjective} {band_noun}|The {adjective} {band_noun}|{adjective} {noun}\
                 |{noun} {band_noun}|{common_band}|{town} Philharmonic|{city} Symphony Orchestra]",
            ),
            Self::Party => (
                60,
                "[Civic|Rural|Progress|Liberty|National|Democratic|Reform|Coastal|Workers|Unity\
                 |Highland|Green] [Party|Party|Union|Alliance|League|Front|Movement]",
            ),
            Self::Agency => (
                110,
                "[Ministry of [Fisheries|Health|Transport|Finance|Culture|Justice|Energy]\
                 |[National|Federal|Royal|Northern|Coastal] [Weather|Maritime|Food|Forestry|Statistics\
                 |Heritage|Railway] [Office|Authority|Agency|Institute|Council]\
                 |{acronym}|{acronym}|{demonym} [Space Agency|Coast Guard|Red Cross]]",
            ),
            Self::Paper => (
                80,
                "[{town}|{town}|{city}|Daily|Evening|Sunday] [Gazette|Herald|Chronicle|Courier|Observer\
                 |Echo]",
            ),
            Self::Hospital => (60, "[St {saint} Hospital|{town} General Hospital|{last} Clinic|{town} Infirmary]"),
            Self::Award => (
                70,
                "[{noun} Prize|{last} [Prize|Medal|Award]|{metal} [Heron|Quill|Lantern|Bear] Award\
                 |{metal} Palm|{demonym} Book Award]",
            ),
            Self::Festival => (
                110,
                "[{town} [Jazz|Film|Book|Folk|Light] Festival|{city} Biennale|{town} Carnival\
                 |Feast of {band_noun}|[Midwinter|Midsummer|Lantern|Harvest] [Fair|Festival]]",
            ),
            Self::Album | Self::Film | Self::Book => (
                120,
                "[The {noun} of {town}|The {adjective} {noun}|{adjective} {noun}|{noun} and {noun}\
                 |Songs for @a {adjective} {noun}|Letters from {city}|Waiting for {first}\
                 |@a {noun} in [Winter|Autumn|March|November]|The {noun} Keeper|{common_title}\
                 |{common_title}|{town}|No {noun} Tonight]",
            ),
            Self::Cup => (
                80,
                "[{metal} Cup|{demonym} Open|{demonym} Grand Prix|Tour of {region}|{town} Marathon\
                 |Continental Shield|{noun} Trophy|{last} Cup]",
            ),
            Self::Product => (
                80,
                "[[Corvo|Falcon|Nimbus|Pico|Zephyr|Astra|Lynx|Tern|Kite|Signal|Mirage|Anchor]\
                 [300|X2|S|Mini|Pro|7|Plus]|{coin} [One|Air|500]]",
            ),
            Self::Law => (
                60,
                "[[Clean|Fair|Open|Safe|Public] [Rivers|Rents|Harbours|Records|Streets|Forests] Act\
                 |Treaty of {town}|{city} Accord|{last} Report]",
            ),
            Self::War => (
                40,
                "[[Salt|Herring|Winter|Seven Bridges|Orchard] War|{demonym} Revolution|Battle of {town}\
                 |War of the [Lanterns|Two Crowns|Bells]]",
            ),
            Self::Ship => (
                60,
                "[Duchess of {town}|{metal} Petrel|Morning Tide|{adjective} Star|{demonym} Queen\
                 |{first} {last}|{noun} Maid]",
            ),
        })
    }
}

/// A name as it occurs in a text.
#[derive(Clone, Debug, Default)]
pub(super) struct Name {
    pub(super) words: Vec<String>,
    /// Short form that people use: the surname of a person, the town of a club, the first part of a firm. Empty if
    /// there is none.
    pub(super) short: Vec<String>,
    pub(super) feminine: bool,
}

/// All names, each pool in order of fame.
pub(super) struct World {
    pools: Vec<Vec<Name>>,
}

impl World {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let mut world = Self { pools: vec![Vec::new(); Pool::ALL.len()] };
        world.pools[Pool::City as usize] = shuffled(CITY, dice).into_iter().map(plain).collect();
        for row in shuffled(COUNTRY, dice) {
            for (pool, form) in [Pool::Country, Pool::Demonym, Pool::People].into_iter().zip(row.split(':')) {
                world.pools[pool as usize].push(plain(form));
            }
        }
        for pool in Pool::ALL {
            if let Some((size, grammar)) = pool.grammar() {
                let names = world.by_grammar(size, grammar, dice);
                world.pools[pool as usize] = names;
            }
            if pool == Pool::Town {
                // People are named after towns. Venues and firms are named after towns and people.
                let names = world.persons(700, dice);
                world.pools[Pool::Person as usize] = names;
            }
        }
        world
    }

    pub(super) fn pool(&self, pool: Pool) -> &[Name] {
        &self.pools[pool as usize]
    }

    /// Draws a name. Famous names are more frequent than obscure ones.
    pub(super) fn draw(&self, pool: Pool, dice: &mut Dice) -> &Name {
        let names = self.pool(pool);
        &names[dice.skewed(names.len())]
    }

    fn by_grammar(&self, size: usize, grammar: &str, dice: &mut Dice) -> Vec<Name> {
        let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
        // A small grammar may have fewer forms than requested, so the number of tries is limited.
        for _ in 0..size * 8 {
            if names.len() == size {
                break;
            }
            let mut parts = Parts { world: self, short: Vec::new() };
            let mut words = Vec::new();
            expand(grammar, &mut parts, dice, &mut words);
            super::pattern::polish(&mut words);
            if seen.insert(words.clone()) {
                names.push(Name { words, short: parts.short, feminine: false });
            }
        }
        names
    }

    fn persons(&self, size: usize, dice: &mut Dice) -> Vec<Name> {
        let (women, men) = (list(WOMEN), list(MEN));
        let (last, common) = (list(LAST), list(COMMON_LAST));
        let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
        for _ in 0..size * 8 {
            if names.len() == size {
                break;
            }
            let feminine = dice.chance(50);
            let mut words = vec![dice.pick(if feminine { &women } else { &men }).to_owned()];
            if dice.chance(10) {
                let initial = dice.pick(&["A.", "B.", "C.", "E.", "J.", "K.", "L.", "M.", "R.", "T."]);
                words.push(initial.to_owned());
            }
            let short = match dice.below(100) {
                // Surnames that are also towns. Better-known towns are more frequent.
                0..10 => self.draw(Pool::Town, dice).words.clone(),
                10..22 => vec![dice.pick(&common).to_owned()],
                _ => vec![dice.pick(&last).to_owned()],
            };
            if short.len() > 1 {
                continue;
            }
            words.extend_from_slice(&short);
            if seen.insert(words.clone()) {
                names.push(Name { words, short, feminine });
            }
        }
        names
    }
}

/// Fills the slots of the name grammars.
struct Parts<'a> {
    world: &'a World,
    /// The words of the first slot, which are the short form of the name.
    short: Vec<String>,
}

impl Slots for Parts<'_> {
    fn fill(&mut self, slot: &str, dice: &mut Dice, words: &mut Vec<String>) {
        let start = words.len();
        match slot {
            "town" => words.extend_from_slice(&self.world.draw(Pool::Town, dice).words),
            "city" => words.extend_from_slice(&self.world.draw(Pool::City, dice).words),
            "demonym" => words.extend_from_slice(&self.world.draw(Pool::Demonym, dice).words),
            "last" => words.extend_from_slice(&self.world.draw(Pool::Person, dice).short),
            "fused" => words.push(fused(TOWN_HEAD, TOWN_TAIL, dice)),
            "coin" => words.push(fused(COIN_HEAD, COIN_TAIL, dice)),
            "acronym" => {
                let letters = dice.between(3, 4);
                words.push((0..letters).map(|_| dice.pick(&list("A C D E F I L M N O R S T U W"))).collect());
            }
            "first" => {
                let names = list(if dice.chance(50) { WOMEN } else { MEN });
                words.push(dice.pick(&names).to_owned());
            }
            _ => {
                let choices = list(word_list(slot));
                words.extend(dice.pick(&choices).split('_').map(str::to_owned));
            }
        }
        if self.short.is_empty() {
            self.short = words[start..].to_vec();
        }
    }
}

fn word_list(slot: &str) -> &'static str {
    match slot {
        "saint" => SAINT,
        "water" => WATER,
        "height" => HEIGHT,
        "region" => REGION,
        "street" => STREET,
        "noun" => NOUN,
        "band_noun" => BAND_NOUN,
        "adjective" => ADJECTIVE,
        "metal" => METAL,
        "common_town" => COMMON_TOWN,
        "common_firm" => COMMON_FIRM,
        "common_band" => COMMON_BAND,
        "common_title" => COMMON_TITLE,
        // A test looks for this in the text.
        _ => "{unknown}",
    }
}

/// Returns names that are also everyday words, with the type that a dictionary gives them.
pub(super) fn common_words() -> Vec<(&'static str, &'static str)> {
    let typed = |words, kind| list(words).into_iter().map(move |word| (word, kind));
    typed(COMMON_LAST, PER)
        .chain(typed("Rose Grace Hope Dawn April Summer Will Mark Frank August", PER))
        .chain(typed(COMMON_TOWN, LOC))
        .chain(typed(COMMON_FIRM, ORG))
        .chain(typed(COMMON_BAND, ORG))
        .chain(typed(COMMON_TITLE, MISC))
        .collect()
}

fn list(words: &'static str) -> Vec<&'static str> {
    words.split_ascii_whitespace().collect()
}

fn shuffled(words: &'static str, dice: &mut Dice) -> Vec<&'static str> {
    let mut words = list(words);
    dice.shuffle(&mut words);
    words
}

fn fused(heads: &'static str, tails: &'static str, dice: &mut Dice) -> String {
    dice.pick(&list(heads)).to_owned() + dice.pick(&list(tails))
}

fn plain(form: &str) -> Name {
    Name { words: form.split('_').map(str::to_owned).collect(), ..Name::default() }
}
